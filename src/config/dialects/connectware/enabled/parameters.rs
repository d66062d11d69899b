//! Parameters: their schemas, and where their values come from.

use super::names::Names;
use super::schema::{self, Schema, Type};
use crate::config::dialects::connectware::{Given, Wanted};
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Source, Value, json};
use crate::config::{Faults, Place, Surroundings, suggest};
use crate::system::plain::plain;
use std::path::{Path, PathBuf};

/// A variable of the environment with this in front of the name of a parameter has its value.
const VARIABLE: &str = "ILAGENT_PARAMETER_";

/// The same for a credential of the unit.
const CREDENTIAL: &str = "parameter_";

/// Parameters and values of one service.
pub(super) struct Parameters {
    /// The value of each, in the order of the file; one that is a fault already is unknown.
    pub(super) values: Vec<Entry>,
    /// What is wrong outside the file.
    pub(super) faults: Faults,
    pub(super) warnings: Vec<String>,
    /// The names of the values that were given and are those of a parameter.
    pub(super) taken: Vec<String>,
}

/// Reads all parameters and finds their values.
pub(super) fn read(
    file: &File<'_>,
    entries: &[Entry],
    wanted: &Wanted,
    around: &Surroundings<'_>,
) -> Parameters {
    let mut parameters = Parameters {
        values: Vec::new(),
        faults: Faults::default(),
        warnings: Vec::new(),
        taken: Vec::new(),
    };
    let in_file = values_file(wanted, around, &mut parameters);
    for entry in entries {
        let found = parameters.value(file, entry, wanted, &in_file, around);
        let value = found.unwrap_or(Value::Other("unknown"));
        let node = Node { at: entry.at, value };
        parameters.values.push(Entry { key: entry.key.clone(), at: entry.at, node });
    }
    parameters.unknown(wanted, &in_file);
    parameters
}

/// Values of the parameters file.
fn values_file(
    wanted: &Wanted,
    around: &Surroundings<'_>,
    parameters: &mut Parameters,
) -> Vec<Given> {
    let Some((name, place)) = &wanted.values_file else { return Vec::new() };
    let text = match around.path(name).and_then(|path| (around.read)(&path)) {
        Ok(Some(text)) => text,
        Ok(None) => {
            parameters.faults.add(place.clone(), format!("there is no file {name}"));
            return Vec::new();
        }
        Err(why) => {
            parameters.faults.add(place.clone(), why);
            return Vec::new();
        }
    };
    parameters.warnings.extend(around.warning(Path::new(name)));
    let source = Source { name, text: text.strip_prefix('\u{feff}').unwrap_or(&text) };
    let entries = match json::parse(source.text) {
        Ok(Node { value: Value::Table(entries), .. }) => entries,
        Ok(node) => {
            let what = "this is a JSON object with the values by the names of their parameters";
            parameters.faults.add(source.place(node.at), what);
            return Vec::new();
        }
        Err((at, what)) => {
            parameters.faults.add(source.place(at), what);
            return Vec::new();
        }
    };
    let given = |entry: &Entry| Given {
        name: entry.key.clone(),
        value: entry.node.value.clone(),
        is_bare: false,
        place: source.place(entry.node.at),
    };
    entries.iter().map(given).collect()
}

impl Parameters {
    /// The value of one parameter; nothing if that is a fault.
    fn value(
        &mut self,
        file: &File<'_>,
        entry: &Entry,
        wanted: &Wanted,
        in_file: &[Given],
        around: &Surroundings<'_>,
    ) -> Option<Value> {
        let fields = Fields::new(file, &entry.node, "a parameter");
        fields.words("title");
        fields.words("description");
        let default = fields.node("default");
        if !matches!(entry.node.value, Value::Table(_)) {
            return None;
        }
        let schema = Schema::read(&fields, 0);
        let given = self.given(&entry.key, wanted, in_file, around);
        let schema = schema?;
        self.warn_of_format(file, &fields, &schema);
        if let Some(default) = default
            && let Some(words) = schema.fault(&default.value)
        {
            file.add(default.at, format!("the default of {} {words}", plain(&entry.key)));
        }
        let Some(given) = given else {
            if default.is_none() {
                file.add(entry.at, format!("parameter {}: no value", plain(&entry.key)));
            }
            return default.map(|node| whole(node.value.clone(), schema.of));
        };
        let value = match given.is_bare {
            true => typed(given.value, schema.of),
            false => given.value,
        };
        match schema.fault(&value) {
            None => Some(whole(value, schema.of)),
            Some(words) => {
                self.faults.add(given.place, format!("parameter {} {words}", plain(&entry.key)));
                None
            }
        }
    }

    /// The value of a name: what is asked for, the environment, a credential, the file of values.
    fn given(
        &mut self,
        name: &str,
        wanted: &Wanted,
        in_file: &[Given],
        around: &Surroundings<'_>,
    ) -> Option<Given> {
        let of = |all: &[Given]| all.iter().rev().find(|given| given.name == name).cloned();
        let asked = of(&wanted.values);
        if asked.is_some() {
            self.taken.push(name.to_owned());
        }
        asked.or_else(|| self.outside(name, around)).or_else(|| of(in_file))
    }

    /// The value of a name in the environment, or in a credential of the unit.
    fn outside(&mut self, name: &str, around: &Surroundings<'_>) -> Option<Given> {
        let given = |text: String, place: Place| Given {
            name: name.to_owned(),
            value: Value::Text(text),
            is_bare: true,
            place,
        };
        let variable = format!("{VARIABLE}{name}");
        if let Some(text) = (around.env)(&variable) {
            return Some(given(text, variable.into()));
        }
        let folder = around.variable("CREDENTIALS_DIRECTORY").filter(|_| !name.contains('/'))?;
        let path = PathBuf::from(folder).join(format!("{CREDENTIAL}{name}"));
        match (around.read)(&path) {
            Ok(text) => {
                let text = text?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
                Some(given(line, path.display().to_string().into()))
            }
            Err(why) => {
                self.faults.add(path.display().to_string(), why);
                None
            }
        }
    }

    /// Notes values that no parameter has the name of.
    fn unknown(&mut self, wanted: &Wanted, in_file: &[Given]) {
        let asked = wanted.values.iter().filter(|_| !wanted.values_are_shared);
        for given in asked.chain(in_file) {
            if self.values.iter().any(|it| it.key == given.name) {
                continue;
            }
            let what = nothing_of(&given.name, self.values.iter().map(|it| it.key.as_str()));
            self.faults.add(given.place.clone(), what);
        }
    }

    fn warn_of_format(&mut self, file: &File<'_>, fields: &Fields<'_>, schema: &Schema) {
        let Some(format) = schema.format() else { return };
        if !schema::is_checked(format) {
            let place = file.place(fields.place("format"));
            let format = plain(format);
            self.warnings.push(format!("config: {place}: the format `{format}` is not checked"));
        }
    }

    /// Warns of parameters that nothing refers to.
    pub(super) fn unused(&self, file: &File<'_>, names: &Names<'_>) -> Vec<String> {
        let used = names.used();
        let unused = self.values.iter().filter(|it| !used.contains(&it.key));
        let words = |Entry { key, at, .. }: &Entry| {
            format!("config: {}: the parameter {} is not used", file.place(*at), plain(key))
        };
        unused.map(words).collect()
    }
}

/// The fault of a value for a parameter that is not there.
pub(super) fn nothing_of<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let hint = match suggest::nearest(name, known) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    format!("there is no parameter {}{hint}", plain(name))
}

/// `3.0` is a whole number, and a text with it has `3`.
fn whole(value: Value, of: Type) -> Value {
    match value {
        Value::Number(text) if of == Type::Integer => match text.split_once('.') {
            Some((digits, zeros)) if zeros.bytes().all(|it| it == b'0') => {
                Value::Number(digits.to_owned())
            }
            _ => Value::Number(text),
        },
        other => other,
    }
}

/// A text that came without a type, as a value of the type it is for; as it is if that cannot be.
fn typed(value: Value, of: Type) -> Value {
    let Value::Text(text) = &value else { return value };
    let read = match of {
        Type::Text => return value,
        Type::Integer | Type::Number => text
            .parse::<f64>()
            .ok()
            .filter(|it| it.is_finite())
            .map(|_| Value::Number(text.clone())),
        Type::Truth => text.parse().ok().map(Value::Truth),
        Type::List | Type::Table => json::parse(text).ok().map(|node| node.value),
    };
    read.unwrap_or(value)
}
