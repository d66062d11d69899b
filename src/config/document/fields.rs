//! A table, read key by key; a key that was not asked for is a fault.

use super::{Entry, Node, Source, Value};
use crate::config::repeats::repeats;
use crate::config::values::put;
use crate::config::{
    ClientCertificate, Faults, Place, Secret, Surroundings, Tls, suggest, surroundings,
};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// The keys that lead to a byte of a file, or the name of what is there.
type Ways<'a> = &'a dyn Fn(usize) -> String;

/// A file being read, and what was found wrong in it.
pub(crate) struct File<'a> {
    source: Source<'a>,
    /// What leads to a byte, where faults say that, too.
    ways: Option<Ways<'a>>,
    pub(crate) around: &'a Surroundings<'a>,
    found: RefCell<Faults>,
    warnings: RefCell<Vec<String>>,
    holds_secret: Cell<bool>,
}

impl<'a> File<'a> {
    pub(crate) fn new(
        source: Source<'a>,
        ways: Option<Ways<'a>>,
        around: &'a Surroundings<'a>,
    ) -> Self {
        File {
            source,
            ways,
            around,
            found: RefCell::default(),
            warnings: RefCell::default(),
            holds_secret: Cell::new(false),
        }
    }

    /// Notes what is wrong at a byte of the file.
    pub(crate) fn add(&self, at: usize, what: impl Into<String>) {
        self.found.borrow_mut().add(self.place(at), what);
    }

    /// Notes what is wrong at a place of the file.
    #[cfg(any(feature = "connectware", feature = "dapr"))]
    pub(crate) fn fault(&self, place: Place, what: impl Into<String>) {
        self.found.borrow_mut().add(place, what);
    }

    /// Notes what is wrong at a byte of a text, which may have several lines.
    #[cfg(feature = "connectware")]
    pub(crate) fn add_inside(&self, node: &Node, text: &str, at: usize, what: impl Into<String>) {
        // The end of a block is that of its last line, which the file may not end itself.
        let before = text.get(..at.min(text.trim_end().len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = self.source.inside(node).shifted(line, column);
        self.fault(place, what);
    }

    /// The place of a byte of the file.
    pub(crate) fn place(&self, at: usize) -> Place {
        let mut place = self.source.place(at);
        if let Place::File { way, .. } = &mut place
            && let Some(ways) = self.ways
        {
            *way = ways(at);
        }
        place
    }

    /// Returns a value, or notes why there is none.
    pub(crate) fn keep<T>(&self, at: usize, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|what| self.add(at, what)).ok()
    }

    /// Notes that the file itself holds a secret.
    pub(crate) fn holds_secret(&self) {
        self.holds_secret.set(true);
    }

    /// The path of a file that holds a secret; warns if everybody can read it.
    pub(crate) fn secret_path(&self, written: &str) -> Result<PathBuf, String> {
        let path = self.around.path(written)?;
        self.warnings.borrow_mut().extend(self.around.warning(&path));
        Ok(path)
    }

    /// Warnings, each once.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.take();
        if self.holds_secret.get() {
            warnings.extend(self.around.warning(Path::new(self.source.name)));
        }
        warnings.sort_unstable();
        warnings.dedup();
        warnings
    }

    /// All that was found.
    pub(crate) fn faults(&self) -> Faults {
        self.found.take()
    }
}

/// Uses a value, or says why it cannot.
type Read<'r, T> = &'r mut dyn FnMut(&T) -> Result<(), String>;

/// One table of a file.
pub(crate) struct Fields<'f> {
    pub(crate) file: &'f File<'f>,
    /// The byte at which it begins.
    pub(crate) at: usize,
    /// What it is called in a fault: `[http]`.
    pub(crate) what: &'static str,
    entries: &'f [Entry],
    /// Their keys, with dashes.
    keys: Vec<String>,
    asked: RefCell<Vec<&'static str>>,
    skipped: Cell<bool>,
}

const NONE: &[Entry] = &[];

impl<'f> Fields<'f> {
    /// The fields of a node; none if it is not a table.
    pub(crate) fn new(file: &'f File<'f>, node: &'f Node, what: &'static str) -> Self {
        let entries = match &node.value {
            Value::Table(entries) => entries.as_slice(),
            other => {
                file.add(node.at, format!("{what} is a table, not {}", other.kind()));
                NONE
            }
        };
        let keys: Vec<_> = entries.iter().map(|entry| plain(&entry.key)).collect();
        for (again, first) in repeats(&keys) {
            let what = format!("this is the same key as `{}`", entries[first].key);
            file.add(entries[again].at, what);
        }
        Fields {
            file,
            at: node.at,
            what,
            entries,
            keys,
            asked: RefCell::default(),
            skipped: Cell::new(false),
        }
    }

    /// The value of a key, if it is there. Dashes and underscores are the same.
    pub(crate) fn node(&self, key: &'static str) -> Option<&'f Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A key with its value, if it is there.
    pub(crate) fn entry(&self, key: &'static str) -> Option<&'f Entry> {
        self.asked.borrow_mut().push(key);
        let number = self.keys.iter().position(|known| known == key)?;
        Some(&self.entries[number])
    }

    /// The place of a key's value, or else of the table.
    pub(crate) fn place(&self, key: &'static str) -> usize {
        self.node(key).map_or(self.at, |node| node.at)
    }

    /// Reads the value of a key, if there is one, or notes why it cannot be read.
    pub(crate) fn value(&self, key: &'static str, read: Read<'_, Value>) {
        if let Some(node) = self.node(key)
            && let Err(what) = read(&node.value)
        {
            self.file.add(node.at, what);
        }
    }

    /// Reads a text.
    pub(crate) fn text(&self, key: &'static str, read: Read<'_, str>) {
        self.value(key, &mut |value| read(text(value)?));
    }

    /// Reads a text as it is.
    pub(crate) fn words(&self, key: &'static str) -> Option<String> {
        let mut found = None;
        self.text(key, &mut |text| put(&mut found, Ok(text.to_owned())));
        found
    }

    /// Reads a number, or a text with a number in it: `"64 KB"`.
    pub(crate) fn number(&self, key: &'static str, read: Read<'_, str>) {
        self.value(key, &mut |value| match value {
            Value::Number(written) => read(&written.replace('_', "")),
            Value::Text(written) => read(written),
            other => Err(format!("this is a number, not {}", other.kind())),
        });
    }

    /// Reads `true` or `false`.
    pub(crate) fn truth(&self, key: &'static str) -> Option<bool> {
        let mut found = None;
        self.value(key, &mut |value| match value {
            Value::Truth(truth) => {
                found = Some(*truth);
                Ok(())
            }
            other => Err(format!("this is true or false, not {}", other.kind())),
        });
        found
    }

    /// Reads a list; a single value stands for a list of one.
    pub(crate) fn list(&self, key: &'static str) -> &'f [Node] {
        match self.node(key) {
            Some(Node { value: Value::List(nodes), .. }) => nodes,
            Some(node) => std::slice::from_ref(node),
            None => &[],
        }
    }

    /// Reads a list of tables.
    pub(crate) fn tables(&self, key: &'static str, what: &'static str) -> Vec<Fields<'f>> {
        self.list(key).iter().map(|node| Fields::new(self.file, node, what)).collect()
    }

    /// Reads a table of texts: `read` is given each key and its text.
    pub(crate) fn pairs(
        &self,
        key: &'static str,
        read: &mut dyn FnMut(&str, &str) -> Result<(), String>,
    ) {
        let Some(node) = self.node(key) else {
            return;
        };
        let Value::Table(entries) = &node.value else {
            self.file.add(node.at, format!("`{key}` is a table, not {}", node.value.kind()));
            return;
        };
        for entry in entries {
            if let Err(what) = text(&entry.node.value).and_then(|text| read(&entry.key, text)) {
                self.file.add(entry.node.at, what);
            }
        }
    }

    /// Reads a secret, from `key` or the file named by `file_key`.
    pub(crate) fn secret(&self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let (mut written, mut in_file) = (None, None);
        self.text(key, &mut |text| put(&mut written, surroundings::secret(text)));
        if written.is_some() {
            self.file.holds_secret();
        }
        self.text(file_key, &mut |path| {
            put(&mut in_file, self.file.around.secret_file(&self.file.secret_path(path)?))
        });
        if self.node(key).is_some() && self.node(file_key).is_some() {
            let what = format!("give this or `{key}`, not both");
            self.file.add(self.place(file_key), what);
        }
        written.or(in_file)
    }

    /// Reads the files of a TLS connection. `without` says why they have no effect, if that is so.
    pub(crate) fn tls_files(&self, without: Option<&str>) -> Tls {
        let file = |key, path: &dyn Fn(&str) -> Result<PathBuf, String>| {
            let mut found: Option<PathBuf> = None;
            self.text(key, &mut |text| put(&mut found, path(text)));
            // Kapacitor's sample leaves unused ones empty.
            let found = found.filter(|path| !path.as_os_str().is_empty())?;
            if let Some(why) = without {
                self.file.add(self.place(key), why);
            }
            Some(found)
        };
        let public = |text: &str| self.file.around.path(text);
        let (ca, chain) = (file("ssl-ca", &public), file("ssl-cert", &public));
        let key = file("ssl-key", &|text| self.file.secret_path(text));
        match (&chain, &key) {
            (Some(_), None) => {
                self.file.add(self.place("ssl-cert"), "this needs an `ssl-key` as well");
            }
            (None, Some(_)) => {
                self.file.add(self.place("ssl-key"), "this needs an `ssl-cert` as well");
            }
            _ => (),
        }
        let client = chain
            .zip(key)
            .map(|(chain, key)| ClientCertificate { chain: chain.into(), key: key.into() });
        Tls { ca: ca.map(Into::into), client, ..Tls::default() }
    }

    /// Whether one of these keys is there.
    pub(crate) fn has(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.node(key).is_some())
    }

    /// Accepts every key, because we cannot tell which of them belong here.
    pub(crate) fn skip(&self) {
        self.skipped.set(true);
    }

    /// The keys that were asked for.
    pub(crate) fn known(&self) -> Vec<&'static str> {
        self.asked.borrow().clone()
    }

    /// The keys that were not asked for.
    pub(crate) fn others(&self) -> Vec<&'f Entry> {
        let asked = self.asked.borrow();
        let known = self.entries.iter().zip(&self.keys);
        known.filter(|(_, key)| !asked.contains(&key.as_str())).map(|(entry, _)| entry).collect()
    }

    /// Notes every key that was not asked for.
    pub(crate) fn end(&self) {
        if self.skipped.get() {
            return;
        }
        let others = self.others();
        let asked = self.known();
        for entry in others {
            let hint = match suggest::nearest(&entry.key, asked.iter().copied()) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => String::new(),
            };
            let what = format!("there is no key `{}` in {}{hint}", entry.key, self.what);
            self.file.add(entry.at, what);
        }
    }
}

/// The text of a value.
pub(crate) fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("this is a text in quotes, not {}", other.kind())),
    }
}

fn plain(key: &str) -> String {
    key.replace('_', "-")
}
