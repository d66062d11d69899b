//! YAML with places, of which a file may hold several documents.
//!
//! Plain scalars are what the core schema of YAML 1.2 says: `yes` is a text. Tags that are not
//! YAML's own (`!ref`, `!sub`) are kept for the dialect to judge.

use super::{DEPTH_MAX, Entry, Node, SyntaxError, Tagged, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most that all aliases of a file may repeat, in bytes: a few lines could ask for more memory than
/// there is.
const REPEATED_BYTES_MAX: usize = 1 << 20;
/// What a value takes, without its text.
const NODE_BYTES: usize = 64;

/// Reads all documents of a file.
///
/// # Errors
///
/// The first fault of the syntax, and where it is.
pub fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut reader = Reader {
        text,
        events: Parser::new_from_str(text),
        here: Cursor { text, characters: 0, bytes: 0 },
        anchors: BTreeMap::new(),
        room: REPEATED_BYTES_MAX,
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::DocumentStart(_), _) => {
                reader.anchors.clear();
                let (event, at) = reader.next()?;
                documents.push(reader.node(event, at, 0)?);
            }
            _ => (),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    here: Cursor<'t>,
    anchors: BTreeMap<usize, Anchored>,
    room: usize,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    bytes: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    /// The next event, and the byte at which it begins.
    fn next(&mut self) -> Result<(Event<'t>, usize), SyntaxError> {
        match self.events.next_event() {
            None => Ok((Event::StreamEnd, self.text.len())),
            Some(Ok((event, span))) => Ok((event, self.here.byte(span.start.index()))),
            Some(Err(error)) => {
                Err((self.here.byte(error.marker().index()), error.info().to_owned()))
            }
        }
    }

    fn node(&mut self, event: Event<'t>, at: usize, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err((at, "this is nested too deeply".to_owned()));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(text, style, anchor, tag) => (self.scalar(text, style, tag, at), anchor),
            Event::SequenceStart(anchor, tag) => {
                let list = self.list(depth)?;
                (tagged(Node { at, value: list }, at, tag), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let table = self.table(depth)?;
                (tagged(Node { at, value: table }, at, tag), anchor)
            }
            _ => return Err((at, "expected a value".to_owned())),
        };
        if anchor > 0 {
            let (bytes, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), bytes, depth });
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, at) => nodes.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn table(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            let (key, at) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Table(entries)),
                (Event::Scalar(key, _, _, None), at) => (key.into_owned(), at),
                (_, at) => return Err((at, "a key is a text".to_owned())),
            };
            if !keys.insert(key.clone()) {
                return Err((at, format!("the key `{key}` is there twice")));
            }
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at, depth + 1)?;
            entries.push(Entry { key, at, node });
        }
    }

    fn alias(&mut self, anchor: usize, at: usize, depth: usize) -> Result<Node, SyntaxError> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err((at, "this alias stands for something that is not complete".to_owned()));
        };
        if depth + anchored.depth > DEPTH_MAX {
            return Err((at, "this is nested too deeply".to_owned()));
        }
        let Some(room) = self.room.checked_sub(anchored.bytes) else {
            return Err((at, "the aliases of this file repeat too much".to_owned()));
        };
        self.room = room;
        Ok(anchored.node.clone())
    }

    fn scalar(
        &self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        tag: Option<Cow<'t, Tag>>,
        at: usize,
    ) -> Node {
        let is_text = tag
            .as_ref()
            .is_some_and(|tag| is_bare(tag) || (tag.is_yaml_core_schema() && tag.suffix == "str"));
        let value = match style {
            ScalarStyle::Plain if !is_text => plain(&text),
            _ => Value::Text(text.into_owned()),
        };
        let start = self.content(at, &value);
        tagged(Node { at: start, value }, at, tag)
    }

    /// Where a scalar itself begins, behind its tag, its anchor and the line that opens a block.
    fn content(&self, at: usize, value: &Value) -> usize {
        let mut rest = self.text.get(at..).unwrap_or_default();
        while rest.starts_with(['!', '&']) {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest = rest[end..].trim_start();
        }
        if let (Value::Text(text), true) = (value, rest.starts_with(['|', '>'])) {
            let lines = rest.split_inclusive('\n');
            let above = lines.clone().skip(1).take_while(|line| line.trim().is_empty());
            let above: usize = lines.take(1).chain(above).map(str::len).sum();
            rest = &rest[above.min(rest.len())..];
            let spaces = |text: &str| text.len() - text.trim_start_matches(' ').len();
            rest = &rest[spaces(rest).saturating_sub(spaces(text.trim_start_matches('\n')))..];
        }
        self.text.len() - rest.len()
    }
}

/// The value under its tag, unless that is one of YAML's own.
fn tagged(node: Node, at: usize, tag: Option<Cow<'_, Tag>>) -> Node {
    match tag.filter(|tag| !tag.is_yaml_core_schema() && !is_bare(tag)) {
        None => node,
        Some(tag) => {
            let tagged = Tagged { tag: tag.to_string(), node };
            Node { at, value: Value::Tagged(Box::new(tagged)) }
        }
    }
}

/// A lone `!`, which says that a scalar is a text.
fn is_bare(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

/// What a plain scalar is.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Truth(true),
        "false" | "False" | "FALSE" => return Value::Truth(false),
        _ => (),
    }
    let radix = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, radix)| i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok());
    match radix {
        Some(number) => Value::Number(number.to_string()),
        None if is_number(text) => Value::Number(text.to_owned()),
        None => Value::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = unsigned(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = unsigned(exponent);
    digits(whole)
        && digits(part)
        && !(whole.is_empty() && part.is_empty())
        && digits(&exponent)
        && !exponent.is_empty()
}

/// What a node takes in memory, about, and how many levels it has.
fn measure(node: &Node) -> (usize, usize) {
    let inside: Vec<(usize, usize)> = match &node.value {
        Value::Text(text) | Value::Number(text) => return (NODE_BYTES + text.len(), 0),
        Value::Truth(_) | Value::Null | Value::Other(_) => return (NODE_BYTES, 0),
        Value::Tagged(tagged) => vec![measure(&tagged.node)],
        Value::List(nodes) => nodes.iter().map(measure).collect(),
        Value::Table(entries) => {
            let entry = |entry: &Entry| {
                let (bytes, depth) = measure(&entry.node);
                (bytes + NODE_BYTES + entry.key.len(), depth)
            };
            entries.iter().map(entry).collect()
        }
    };
    let bytes = inside.iter().map(|(bytes, _)| bytes).sum::<usize>();
    let depth = inside.iter().map(|(_, depth)| depth + 1).max().unwrap_or(0);
    (NODE_BYTES + bytes, depth)
}

/// Turns numbers of characters, which mostly grow, into numbers of bytes.
struct Cursor<'t> {
    text: &'t str,
    characters: usize,
    bytes: usize,
}

impl Cursor<'_> {
    fn byte(&mut self, character: usize) -> usize {
        if character < self.characters {
            (self.characters, self.bytes) = (0, 0);
        }
        let rest = &self.text[self.bytes..];
        let steps = character - self.characters;
        let ahead = rest.char_indices().nth(steps).map_or(rest.len(), |(at, _)| at);
        (self.characters, self.bytes) = (character, self.bytes + ahead);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Source;
    use proptest::prelude::*;

    /// A document as one line: texts in quotes, tags before what they stand at.
    fn shown(node: &Node) -> String {
        let all = |parts: Vec<String>| parts.join(", ");
        match &node.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Number(number) => number.clone(),
            Value::Truth(truth) => truth.to_string(),
            Value::Null => "null".to_owned(),
            Value::Other(kind) => (*kind).to_owned(),
            Value::Tagged(tagged) => format!("{} {}", tagged.tag, shown(&tagged.node)),
            Value::List(nodes) => format!("[{}]", all(nodes.iter().map(shown).collect())),
            Value::Table(entries) => {
                let entry = |entry: &Entry| format!("{}: {}", entry.key, shown(&entry.node));
                format!("{{{}}}", all(entries.iter().map(entry).collect()))
            }
        }
    }

    #[test]
    fn documents_are_read() {
        for (text, wanted) in [
            ("", &[] as &[&str]),
            ("# nothing\n", &[]),
            ("a: 1\n---\nb: [x, 'y', \"z\"]\n...\n", &["{a: 1}", r#"{b: ["x", "y", "z"]}"#]),
            ("a: yes\nb: True\nc:\nd: ~\n", &[r#"{a: "yes", b: true, c: null, d: null}"#]),
            (
                "[0x1f, 0o17, -1.5e+3, +7, .5, 5., 1_0, 1e, ., 1.2.3]",
                &[r#"[31, 15, -1.5e+3, +7, .5, 5., "1_0", "1e", ".", "1.2.3"]"#],
            ),
            ("a: '1'\nb: !!str 1\nc: ! 1\nd: !!int 1\n", &[r#"{a: "1", b: "1", c: "1", d: 1}"#]),
            (
                "a: !ref b\nc: !merge\n  - {}\nd: !sub\n",
                &[r#"{a: !ref "b", c: !merge [{}], d: !sub null}"#],
            ),
            ("a: &x {b: 1}\nc: [*x, *x]\n", &["{a: {b: 1}, c: [{b: 1}, {b: 1}]}"]),
            ("a: |\n  x\n   y\nb: >-\n  p\n  q\n", &[r#"{a: "x\n y\n", b: "p q"}"#]),
        ] {
            let documents = parse(text).unwrap();
            assert_eq!(documents.iter().map(shown).collect::<Vec<_>>(), wanted, "{text}");
        }
    }

    #[test]
    fn faults_have_places() {
        let deep = format!("a: {}1{}", "[".repeat(40), "]".repeat(40));
        let chain: String = (1..50).map(|n| format!("k{n}: &a{n} [*a{}]\n", n - 1)).collect();
        let chain = format!("k0: &a0 []\n{chain}");
        let bomb: String = (1..12)
            .map(|n| format!("k{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")))
            .collect();
        let bomb = format!("k0: &a0 lol\n{bomb}");
        for (text, wanted) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` is there twice"),
            ("é: {b: 1, b: 2}\n", "1:11: the key `b` is there twice"),
            ("? [x]\n: y\n", "1:3: a key is a text"),
            ("a: *x\n", "1:4: while parsing node, found unknown anchor"),
            ("a: &x [*x]\n", "1:8: this alias stands for something that is not complete"),
            ("a: [1,\n", "2:1: while parsing a node, did not find expected node content"),
            (deep.as_str(), "1:36: this is nested too deeply"),
            (chain.as_str(), "33:12: this is nested too deeply"),
            (bomb.as_str(), "6:15: the aliases of this file repeat too much"),
        ] {
            let (at, what) = parse(text).unwrap_err();
            let place = Source { name: "a", text }.place(at).to_string();
            assert_eq!(format!("{}: {what}", &place[2..]), wanted, "{text}");
        }
    }

    #[test]
    fn a_place_inside_a_text_is_one_of_the_file() {
        for (text, inside, wanted) in [
            ("a: |\n  one\n  two\n", (2, 2), "a:3:4"),
            ("a:\n  b: |-\n\n      one\n", (2, 1), "a:4:7"),
            ("a: !x |\n  one\n", (1, 3), "a:2:5"),
            ("a: &x !y |2\n     one\n  two\n", (2, 1), "a:3:3"),
            ("a: plain\n", (1, 3), "a:1:6"),
            ("ä: 'one'\n", (1, 1), "a:1:5"),
            ("a: !x \"one\"\n", (1, 2), "a:1:9"),
        ] {
            let documents = parse(text).unwrap();
            let Value::Table(entries) = &documents[0].value else { panic!("a table") };
            let mut node = &entries[0].node;
            loop {
                node = match &node.value {
                    Value::Table(entries) => &entries[0].node,
                    Value::Tagged(tagged) => &tagged.node,
                    _ => break,
                };
            }
            let place = Source { name: "a", text }.inside(node).shifted(inside.0, inside.1);
            assert_eq!(place.to_string(), wanted, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(
            any in ".{0,60}",
            likely in "([ab]: |- |&x |\\*x|!t |\\||>|\\[|\\]|\\{|\\}|, |\n|  |'|\"|\\? |---\n|é|#|\t|\r){0,40}",
        ) {
            for text in [&any, &likely] {
                let places = match parse(text) {
                    Ok(documents) => documents.iter().map(|document| document.at).collect(),
                    Err((at, _)) => vec![at],
                };
                for at in places {
                    prop_assert!(text.is_char_boundary(at), "{at}");
                }
            }
        }
    }
}
