//! The schema of a parameter: the part of JSON Schema that Connectware's parameters use. What is
//! not checked is refused, never ignored.

use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Value};
use crate::config::suggest;
use crate::system::plain::plain;
use regex_lite::Regex;

/// Schemas inside a schema are no deeper than this.
const LEVELS_MAX: usize = 3;

/// Largest pattern, and most memory for a compiled one, in bytes.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// The types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Integer,
    Number,
    Truth,
    List,
    Table,
}

const TYPES: [(&str, Type); 6] = [
    ("string", Type::Text),
    ("integer", Type::Integer),
    ("number", Type::Number),
    ("boolean", Type::Truth),
    ("array", Type::List),
    ("object", Type::Table),
];

/// What a value has to be.
pub(super) struct Schema {
    pub(super) of: Type,
    one_of: Option<Vec<Value>>,
    least: Option<f64>,
    most: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
    step: Option<f64>,
    shortest: Option<usize>,
    longest: Option<usize>,
    pattern: Option<Regex>,
    format: Option<String>,
    items: Option<Box<Schema>>,
    fewest: Option<usize>,
    most_items: Option<usize>,
    are_unique: bool,
    members: Vec<(String, Schema)>,
    required: Vec<String>,
    others_are_allowed: bool,
}

impl Schema {
    /// Reads a schema; nothing if its type cannot be read. `default` and the words for people are
    /// for the caller.
    pub(super) fn read(fields: &Fields<'_>, level: usize) -> Option<Self> {
        let of = kind(fields)?;
        let mut schema = Schema::of(of);
        constants(fields, &mut schema);
        match of {
            Type::Integer | Type::Number => numbers(fields, &mut schema),
            Type::Text => texts(fields, &mut schema),
            Type::List => lists(fields, &mut schema, level),
            Type::Table => tables(fields, &mut schema, level),
            Type::Truth => (),
        }
        for entry in fields.others() {
            fields.file.add(entry.at, unsupported(&entry.key, of));
        }
        Some(schema)
    }

    fn of(of: Type) -> Self {
        Schema {
            of,
            one_of: None,
            least: None,
            most: None,
            above: None,
            below: None,
            step: None,
            shortest: None,
            longest: None,
            pattern: None,
            format: None,
            items: None,
            fewest: None,
            most_items: None,
            are_unique: false,
            members: Vec::new(),
            required: Vec::new(),
            others_are_allowed: true,
        }
    }

    /// The format of a text.
    pub(super) fn format(&self) -> Option<&str> {
        self.format.as_deref()
    }

    /// What is wrong with a value, in words that follow its name.
    pub(super) fn fault(&self, value: &Value) -> Option<String> {
        if let Some(words) = self.type_fault(value) {
            return Some(words);
        }
        if let Some(values) = &self.one_of
            && !values.iter().any(|known| same(known, value))
        {
            let shown: Vec<String> = values.iter().map(shown).collect();
            return Some(format!("must be one of {}", shown.join(", ")));
        }
        match value {
            Value::Number(text) => self.number_fault(text.parse().unwrap_or(f64::NAN)),
            Value::Text(text) => self.text_fault(text),
            Value::List(nodes) => self.list_fault(nodes),
            Value::Table(entries) => self.table_fault(entries),
            Value::Truth(_) | Value::Null | Value::Tagged(_) | Value::Other(_) => None,
        }
    }

    fn type_fault(&self, value: &Value) -> Option<String> {
        let fits = match (self.of, value) {
            (Type::Text, Value::Text(_))
            | (Type::Number, Value::Number(_))
            | (Type::Truth, Value::Truth(_))
            | (Type::List, Value::List(_))
            | (Type::Table, Value::Table(_)) => true,
            (Type::Integer, Value::Number(text)) => {
                text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
            }
            _ => false,
        };
        let wanted = match self.of {
            Type::Text => "a text",
            Type::Integer => "a whole number",
            Type::Number => "a number",
            Type::Truth => "true or false",
            Type::List => "a list",
            Type::Table => "a map",
        };
        let found = match value {
            Value::Table(_) => "a map",
            other => other.kind(),
        };
        match value {
            _ if fits => None,
            Value::Number(_) if self.of == Type::Integer => Some(format!("must be {wanted}")),
            _ => Some(format!("must be {wanted}, not {found}")),
        }
    }

    fn number_fault(&self, number: f64) -> Option<String> {
        let is_multiple = |step: f64| ((number / step).round() * step - number).abs() < 1e-9;
        match self {
            Schema { least: Some(least), .. } if number < *least => {
                Some(format!("must be at least {least}"))
            }
            Schema { most: Some(most), .. } if number > *most => {
                Some(format!("must be at most {most}"))
            }
            Schema { above: Some(above), .. } if number <= *above => {
                Some(format!("must be more than {above}"))
            }
            Schema { below: Some(below), .. } if number >= *below => {
                Some(format!("must be less than {below}"))
            }
            Schema { step: Some(step), .. } if !is_multiple(*step) => {
                Some(format!("must be a multiple of {step}"))
            }
            _ => None,
        }
    }

    fn text_fault(&self, text: &str) -> Option<String> {
        let length = text.chars().count();
        if let Some(shortest) = self.shortest.filter(|shortest| length < *shortest) {
            return Some(format!("must have at least {shortest} characters"));
        }
        if let Some(longest) = self.longest.filter(|longest| length > *longest) {
            return Some(format!("must have at most {longest} characters"));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Some(format!("must match the pattern `{}`", plain(pattern.as_str())));
        }
        let format = self.format.as_deref().filter(|format| !has_format(text, format))?;
        Some(format!("must be of the format `{format}`"))
    }

    fn list_fault(&self, nodes: &[Node]) -> Option<String> {
        if let Some(fewest) = self.fewest.filter(|fewest| nodes.len() < *fewest) {
            return Some(format!("must have at least {fewest} items"));
        }
        if let Some(most) = self.most_items.filter(|most| nodes.len() > *most) {
            return Some(format!("must have at most {most} items"));
        }
        let is_repeated = |(number, node): (usize, &Node)| {
            nodes[..number].iter().any(|other| same(&other.value, &node.value))
        };
        if self.are_unique && nodes.iter().enumerate().any(is_repeated) {
            return Some("must not have an item twice".to_owned());
        }
        let items = self.items.as_ref()?;
        nodes.iter().enumerate().find_map(|(number, node)| {
            Some(format!("item {} {}", number + 1, items.fault(&node.value)?))
        })
    }

    fn table_fault(&self, entries: &[Entry]) -> Option<String> {
        let has = |name: &&String| entries.iter().any(|entry| entry.key == **name);
        if let Some(missing) = self.required.iter().find(|name| !has(name)) {
            return Some(format!("must have a member `{}`", plain(missing)));
        }
        entries.iter().find_map(|entry| {
            let key = plain(&entry.key);
            match self.members.iter().find(|(name, _)| *name == entry.key) {
                Some((_, schema)) => {
                    Some(format!("member `{key}` {}", schema.fault(&entry.node.value)?))
                }
                None if self.others_are_allowed => None,
                None => Some(format!("must not have a member `{key}`")),
            }
        })
    }
}

/// The type, which every schema needs.
fn kind(fields: &Fields<'_>) -> Option<Type> {
    let names = || TYPES.map(|(name, _)| name).join(", ");
    let Some(node) = fields.node("type") else {
        let what = format!("{} needs a `type`: {}", fields.what, names());
        fields.file.add(fields.at, what);
        fields.skip();
        return None;
    };
    let known = match &node.value {
        Value::Text(text) => TYPES.iter().find(|(name, _)| name == text),
        _ => None,
    };
    if known.is_none() {
        let hint = match &node.value {
            Value::Text(text) => suggest::nearest(text, TYPES.map(|(name, _)| name)),
            _ => None,
        };
        let hint = hint.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        fields.file.add(node.at, format!("the type is one of {}{hint}", names()));
        fields.skip();
    }
    known.map(|(_, of)| *of)
}

fn unsupported(key: &str, of: Type) -> String {
    let name = TYPES.iter().find(|(_, known)| *known == of).map_or("", |(name, _)| name);
    format!("`{}` is not supported in the schema of a parameter of the type {name}", plain(key))
}

fn constants(fields: &Fields<'_>, schema: &mut Schema) {
    if let Some(node) = fields.node("const") {
        schema.one_of = Some(vec![node.value.clone()]);
    }
    match fields.node("enum") {
        None => (),
        Some(Node { value: Value::List(nodes), .. }) if !nodes.is_empty() => {
            schema.one_of = Some(nodes.iter().map(|node| node.value.clone()).collect());
        }
        Some(node) => fields.file.add(node.at, "`enum` is a list of values"),
    }
}

fn numbers(fields: &Fields<'_>, schema: &mut Schema) {
    schema.least = number(fields, "minimum");
    schema.most = number(fields, "maximum");
    schema.above = number(fields, "exclusiveMinimum");
    schema.below = number(fields, "exclusiveMaximum");
    schema.step = number(fields, "multipleOf");
    if schema.step.is_some_and(|step| step <= 0.0) {
        fields.file.add(fields.place("multipleOf"), "`multipleOf` is more than 0");
        schema.step = None;
    }
}

fn texts(fields: &Fields<'_>, schema: &mut Schema) {
    schema.shortest = count(fields, "minLength");
    schema.longest = count(fields, "maxLength");
    schema.pattern = fields.node("pattern").and_then(|node| {
        let Value::Text(text) = &node.value else {
            fields.file.add(node.at, "`pattern` is a text");
            return None;
        };
        let built = regex_lite::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
        fields.file.keep(node.at, built.map_err(|error| format!("`pattern`: {error}")))
    });
    schema.format = fields.words("format");
}

fn lists(fields: &Fields<'_>, schema: &mut Schema, level: usize) {
    schema.fewest = count(fields, "minItems");
    schema.most_items = count(fields, "maxItems");
    schema.are_unique = fields.truth("uniqueItems").unwrap_or(false);
    schema.items =
        fields.node("items").and_then(|node| inside(fields.file, node, level)).map(Box::new);
}

fn tables(fields: &Fields<'_>, schema: &mut Schema, level: usize) {
    schema.others_are_allowed = fields.truth("additionalProperties").unwrap_or(true);
    for node in fields.list("required") {
        match &node.value {
            Value::Text(name) => schema.required.push(name.clone()),
            other => fields
                .file
                .add(node.at, format!("this is the name of a member, not {}", other.kind())),
        }
    }
    match fields.node("properties") {
        Some(Node { value: Value::Table(entries), .. }) => {
            let member =
                |entry: &Entry| Some((entry.key.clone(), inside(fields.file, &entry.node, level)?));
            schema.members = entries.iter().filter_map(member).collect();
        }
        Some(node) => fields.file.add(node.at, "`properties` is a map of schemas"),
        None => (),
    }
}

/// A schema inside another.
fn inside(file: &File<'_>, node: &Node, level: usize) -> Option<Schema> {
    if level + 1 >= LEVELS_MAX {
        file.add(node.at, "schemas are nested too deeply: two levels are supported");
        return None;
    }
    let fields = Fields::new(file, node, "a schema");
    for key in ["title", "description", "default"] {
        fields.node(key);
    }
    Schema::read(&fields, level + 1)
}

fn number(fields: &Fields<'_>, key: &'static str) -> Option<f64> {
    let node = fields.node(key)?;
    let found = match &node.value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    };
    if found.is_none() {
        fields.file.add(node.at, format!("`{key}` is a number"));
    }
    found
}

fn count(fields: &Fields<'_>, key: &'static str) -> Option<usize> {
    let node = fields.node(key)?;
    let found = match &node.value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    };
    if found.is_none() {
        fields.file.add(node.at, format!("`{key}` is a whole number"));
    }
    found
}

/// Whether two values are the same; numbers are however they are written.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.parse::<f64>().ok().is_some_and(|it| other.parse() == Ok(it))
        }
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| same(&one.value, &other.value))
        }
        (Value::Table(one), Value::Table(other)) => {
            let has = |entry: &Entry| {
                other
                    .iter()
                    .any(|it| it.key == entry.key && same(&it.node.value, &entry.node.value))
            };
            one.len() == other.len() && one.iter().all(has)
        }
        _ => one == other,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("`{}`", plain(text)),
        Value::Number(text) => text.clone(),
        Value::Truth(truth) => truth.to_string(),
        other => other.kind().to_owned(),
    }
}

/// The formats that are checked.
const FORMATS: [&str; 5] = ["ipv4", "ipv6", "hostname", "uri", "email"];

/// Longest name of a host, and longest part of it between dots.
const HOSTNAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Whether values of a format are checked.
pub(super) fn is_checked(format: &str) -> bool {
    FORMATS.contains(&format)
}

fn is_label(text: &str) -> bool {
    (1..=LABEL_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn has_format(text: &str, format: &str) -> bool {
    let no_blanks = !text.contains(char::is_whitespace);
    match format {
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "hostname" => text.len() <= HOSTNAME_MAX && text.split('.').all(is_label),
        "uri" => {
            no_blanks
                && text.split_once(':').is_some_and(|(scheme, rest)| {
                    let is_letter = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
                    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                        && scheme.chars().all(is_letter)
                        && !rest.is_empty()
                })
        }
        "email" => {
            no_blanks
                && text.split_once('@').is_some_and(|(user, host)| {
                    !user.is_empty() && !host.is_empty() && !host.contains('@')
                })
        }
        _ => true,
    }
}
