//! Topics made of other topics: what the wildcards of a filter matched, put into a template.

use super::{check_filter, check_topic, matches};
use std::fmt;

/// The name that stands for the whole topic.
const TOPIC: &str = "topic";

/// What the names of variables begin with.
const VARIABLE: char = '$';

/// A filter whose wildcards may have names: `plant/+line/#rest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The filter as the standard knows it, without the names.
    pub filter: String,
    /// The name of each wildcard, in their order; empty for those without.
    pub names: Vec<String>,
}

impl Pattern {
    /// Reads a filter with names.
    ///
    /// # Errors
    ///
    /// As [`check_filter`], and for names that cannot be told apart.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut levels, mut names) = (Vec::new(), Vec::new());
        for level in text.split('/') {
            let name = level.strip_prefix(['+', '#']).filter(|name| name.chars().all(is_letter));
            let Some(name) = name else {
                levels.push(level);
                continue;
            };
            if name == TOPIC || name.starts_with(|first: char| first.is_ascii_digit()) {
                return Err(format!(
                    "`{level}`: a wildcard cannot have the name `{name}`, which has a meaning already"
                ));
            }
            if !name.is_empty() && names.iter().any(|other| other == name) {
                return Err(format!("there are two wildcards of the name `{name}`"));
            }
            names.push(name.to_owned());
            levels.push(&level[..1]);
        }
        let filter = levels.join("/");
        check_filter(&filter)?;
        Ok(Pattern { filter, names })
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '-')
}

/// What each wildcard of `filter` matched, in their order; `None` if it does not match `topic`.
///
/// The `#` of `a/#` matches nothing on the topic `a`, which is less than the empty level of `a/`.
#[must_use]
pub fn capture<'t>(filter: &str, topic: &'t str) -> Option<Vec<Option<&'t str>>> {
    if !matches(filter, topic) {
        return None;
    }
    let mut captured = Vec::new();
    let mut rest = Some(topic);
    for level in filter.split('/') {
        if level == "#" {
            captured.push(rest);
            break;
        }
        let (found, after) = match rest?.split_once('/') {
            Some((found, after)) => (found, Some(after)),
            None => (rest?, None),
        };
        if level == "+" {
            captured.push(Some(found));
        }
        rest = after;
    }
    Some(captured)
}

/// A topic, or a path, with places for what a rule's filter matched.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    parts: Vec<Part>,
    /// What it is made of may not leave an empty level.
    is_strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Characters as they are.
    Text(String),
    /// The topic, without this many bytes at its beginning.
    Topic { cut: usize },
    /// What a wildcard matched, by its number from 0.
    Wildcard(usize),
    /// What somebody else gives the name.
    Variable(String),
}

impl Part {
    fn shown(&self) -> String {
        match self {
            Part::Text(text) => text.replace('{', "{{"),
            Part::Topic { .. } => format!("{{{TOPIC}}}"),
            Part::Wildcard(number) => format!("{{{}}}", number + 1),
            Part::Variable(name) => format!("{{{VARIABLE}{name}}}"),
        }
    }
}

impl TopicTemplate {
    /// The topic as it is.
    #[must_use]
    pub fn same() -> Self {
        TopicTemplate {
            text: format!("{{{TOPIC}}}"),
            parts: vec![Part::Topic { cut: 0 }],
            is_strict: false,
        }
    }

    /// Reads a template: `{topic}`, `{name}` and `{1}`, `{2}`, … in the order of the wildcards of
    /// `pattern`; `{{` is a brace.
    ///
    /// # Errors
    ///
    /// Says which place cannot be filled.
    pub fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        Self::read(text, pattern, false)
    }

    /// Reads a template that also has variables, `{$name}`. What is empty at its end takes its slash
    /// with it; anywhere else it may not leave an empty level.
    ///
    /// # Errors
    ///
    /// As [`TopicTemplate::parse`].
    pub fn strict(text: &str, pattern: &Pattern) -> Result<Self, String> {
        Self::read(text, pattern, true)
    }

    fn read(text: &str, pattern: &Pattern, is_strict: bool) -> Result<Self, String> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            if let Some(after) = after.strip_prefix('{') {
                literal.push('{');
                rest = after;
                continue;
            }
            let (name, after) = after.split_once('}').ok_or_else(|| {
                format!("`{text}`: a `}}` is missing (a brace is written `{{{{`)")
            })?;
            push_text(&mut parts, &mut literal);
            parts.push(match name.strip_prefix(VARIABLE).filter(|_| is_strict) {
                Some(variable) => Part::Variable(variable.to_owned()),
                None => place(name, pattern)?,
            });
            rest = after;
        }
        literal.push_str(rest);
        push_text(&mut parts, &mut literal);
        let text = parts.iter().map(Part::shown).collect();
        Ok(TopicTemplate { text, parts, is_strict })
    }

    /// The topic with `cut` taken away from its beginning and `add` put there.
    ///
    /// # Errors
    ///
    /// Not every topic that `pattern` matches begins with `cut`.
    pub fn prefixed(cut: &str, add: &str, pattern: &Pattern) -> Result<Self, String> {
        let filter = &pattern.filter;
        if cut.contains(['+', '#']) || !filter.starts_with(cut) {
            return Err(format!("not every topic that `{filter}` matches begins with `{cut}`"));
        }
        let mut parts = Vec::new();
        push_text(&mut parts, &mut add.to_owned());
        parts.push(Part::Topic { cut: cut.len() });
        let without = if cut.is_empty() { String::new() } else { format!(" without {cut}") };
        let text = format!("{add}{{{TOPIC}{without}}}");
        Ok(TopicTemplate { text, parts, is_strict: false })
    }

    /// For people, with numbers instead of names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// What does not come from a topic.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Topic { .. } | Part::Wildcard(_) | Part::Variable(_) => None,
        })
    }

    /// The topic that it makes of one that `filter` matches.
    ///
    /// # Errors
    ///
    /// Nobody can publish to what it makes, or `filter` does not match.
    pub fn render(&self, filter: &str, topic: &str) -> Result<String, String> {
        self.render_with(filter, topic, &|_| None)
    }

    /// The same, with the values of variables.
    ///
    /// # Errors
    ///
    /// As [`TopicTemplate::render`], and for a variable without a value.
    pub fn render_with(
        &self,
        filter: &str,
        topic: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, String> {
        let made = match self.is_strict {
            true => self.fill_strictly(filter, topic, variable)?,
            false => self.fill(filter, topic, &|value, made| made.push_str(value)),
        };
        let made = made.ok_or_else(|| format!("`{filter}` does not match the topic"))?;
        check_topic(&made).map(|()| made)
    }

    /// The same for any text: `write` appends what came from the topic, escaped as it must be.
    /// `None` if `filter` does not match.
    #[must_use]
    pub fn fill(
        &self,
        filter: &str,
        topic: &str,
        write: &dyn Fn(&str, &mut String),
    ) -> Option<String> {
        let captured = capture(filter, topic)?;
        let mut made = String::new();
        for part in &self.parts {
            let value = match part {
                Part::Text(text) => {
                    made.push_str(text);
                    continue;
                }
                Part::Topic { cut } => topic.get(*cut..),
                Part::Wildcard(number) => captured.get(*number).copied().flatten(),
                // It may be anything.
                Part::Variable(_) => Some("#"),
            };
            match value {
                Some(value) => write(value, &mut made),
                // `a/#` matches `a`, so `b/{1}` makes `b`.
                None if made.ends_with('/') => made.truncate(made.len() - 1),
                None => (),
            }
        }
        Some(made)
    }

    fn fill_strictly(
        &self,
        filter: &str,
        topic: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<String>, String> {
        let Some(captured) = capture(filter, topic) else { return Ok(None) };
        let (mut made, mut empty) = (String::new(), Vec::new());
        for part in &self.parts {
            let before = made.len();
            match part {
                Part::Text(text) => made.push_str(text),
                Part::Topic { cut } => made.push_str(topic.get(*cut..).unwrap_or_default()),
                Part::Wildcard(number) => {
                    made.push_str(captured.get(*number).copied().flatten().unwrap_or_default());
                }
                Part::Variable(name) => {
                    let value = variable(name);
                    made.push_str(&value.ok_or_else(|| format!("`{name}` has no value"))?);
                }
            }
            if made.len() == before {
                empty.push(before);
            }
        }
        for at in empty.into_iter().rev() {
            let ends_level = made[at..].is_empty() || made[at..].starts_with('/');
            let is_level = ends_level && (at == 0 || made[..at].ends_with('/'));
            match is_level {
                true if at == made.len() => made.truncate(at.saturating_sub(1)),
                true => return Err(format!("`{made}` has an empty level")),
                false => (),
            }
        }
        Ok(Some(made))
    }

    /// A filter for all topics that it makes of those that `narrow` matches, which matches none that
    /// `filter` does not; it may be wider than they are. `None` if there can be none.
    #[must_use]
    pub fn reach(&self, filter: &str, narrow: &str) -> Option<String> {
        let made = self.fill(filter, narrow, &|value, made| made.push_str(value))?;
        let mut levels: Vec<&str> = Vec::new();
        for level in made.split('/') {
            if level.contains('#') {
                levels.push("#");
                break;
            }
            levels.push(if level.contains('+') { "+" } else { level });
        }
        let made = levels.join("/");
        check_filter(&made).is_ok().then_some(made)
    }
}

/// As it is shown.
impl fmt::Debug for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

fn push_text(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Text(std::mem::take(literal)));
    }
}

/// What a name in braces stands for.
fn place(name: &str, pattern: &Pattern) -> Result<Part, String> {
    let Pattern { filter, names } = pattern;
    if name == TOPIC {
        return Ok(Part::Topic { cut: 0 });
    }
    let by_name = names.iter().position(|known| !name.is_empty() && known == name);
    let by_number = || name.parse::<usize>().ok()?.checked_sub(1);
    match by_name.or_else(by_number) {
        Some(number) if number < names.len() => Ok(Part::Wildcard(number)),
        _ if names.is_empty() => {
            Err(format!("`{{{name}}}` stands for nothing: `{filter}` has no wildcard"))
        }
        _ => Err(format!(
            "`{{{name}}}` stands for nothing: the last wildcard of `{filter}` is {{{}}}, and the \
             whole topic is {{{TOPIC}}}",
            names.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::BYTES_MAX;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn wildcards_may_have_names() {
        for (text, filter, names) in [
            ("a/b", "a/b", [].as_slice()),
            ("a/+/#", "a/+/#", &["", ""]),
            ("+site/x/+line-2/#rest", "+/x/+/#", &["site", "line-2", "rest"]),
            ("#all", "#", &["all"]),
        ] {
            let read = pattern(text);
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!((read.filter.as_str(), read.names), (filter, names), "{text}");
        }
        for (text, wanted) in [
            ("a/+x/+x", "there are two wildcards of the name `x`"),
            ("+topic", "cannot have the name `topic`"),
            ("a/+1", "cannot have the name `1`"),
            ("a/#x/b", "`#` stands alone and at the end"),
            ("a/x+", "`+` stands alone"),
            ("a/+x y", "`+` stands alone"),
            ("", "may not be empty"),
        ] {
            let fault = Pattern::parse(text).expect_err(text);
            assert!(fault.contains(wanted), "{fault}");
        }
    }

    #[test]
    fn wildcards_capture_what_they_match() {
        for (filter, topic, wanted) in [
            ("a/b", "a/b", Some([].as_slice())),
            ("a/+/c", "a/b/c", Some(&[Some("b")])),
            ("+/+", "/", Some(&[Some(""), Some("")])),
            ("a/#", "a/b/c", Some(&[Some("b/c")])),
            ("a/#", "a/", Some(&[Some("")])),
            ("a/#", "a", Some(&[None])),
            ("+/b/#", "a/b", Some(&[Some("a"), None])),
            ("#", "a/b", Some(&[Some("a/b")])),
            ("a/+", "b/c", None),
            ("#", "$SYS/x", None),
        ] {
            assert_eq!(capture(filter, topic).as_deref(), wanted, "{filter} on {topic}");
        }
    }

    #[test]
    fn a_template_makes_a_topic_of_another() {
        for (filter, template, topic, wanted) in [
            ("a/#", "site7/{topic}", "a/b", "site7/a/b"),
            ("+x/+y/#z", "{y}/{x}/{z}", "1/2/3/4", "2/1/3/4"),
            ("+/+", "{2}-{1}", "a/b", "b-a"),
            ("a/#", "b/{1}", "a", "b"),
            ("a/#", "b/{1}/c", "a", "b/c"),
            ("a/#", "b/{1}", "a/", "b/"),
            ("a", "fixed", "a", "fixed"),
            ("a", "{{{topic}}", "a", "{a}"),
        ] {
            let pattern = pattern(filter);
            let made = TopicTemplate::parse(template, &pattern).unwrap();
            let again = TopicTemplate::parse(made.as_str(), &pattern);
            assert_eq!(again.as_ref(), Ok(&made), "what is shown means the same");
            let made = made.render(&pattern.filter, topic);
            assert_eq!(made.as_deref(), Ok(wanted), "{template} of {filter} on {topic}");
        }
    }

    #[test]
    fn a_strict_template_leaves_no_empty_level() {
        let variable = |name: &str| match name {
            "area" => Some("hot/1".to_owned()),
            "none" => Some(String::new()),
            _ => None,
        };
        for (filter, template, topic, wanted) in [
            ("+/b/#", "s/{$area}/{1}", "m1/b", Ok("s/hot/1/m1")),
            ("+/b/#", "s/{2}", "m1/b", Ok("s")),
            ("+/b/#", "s/{2}", "m1/b/", Ok("s")),
            ("+/b/#", "s/{$none}/{2}", "m1/b", Ok("s")),
            ("+/b/#", "s/{$none}/{1}", "m1/b", Err("`s//m1` has an empty level")),
            ("+/b/#", "s/{2}/{1}", "m1/b", Err("`s//m1` has an empty level")),
            ("+/b/#", "s/x{2}/{1}", "m1/b", Ok("s/x/m1")),
            ("+/b/#", "{1}/x", "/b", Err("`/x` has an empty level")),
            ("+/b/#", "{2}", "m1/b", Err("a topic may not be empty")),
            ("+/b/#", "s/{$what}", "m1/b", Err("`what` has no value")),
        ] {
            let pattern = pattern(filter);
            let made = TopicTemplate::strict(template, &pattern).unwrap();
            let again = TopicTemplate::strict(made.as_str(), &pattern);
            assert_eq!(again.as_ref(), Ok(&made), "what is shown means the same");
            let made = made.render_with(&pattern.filter, topic, &variable);
            let made = made.as_deref().map_err(String::as_str);
            assert_eq!(made, wanted, "{template} of {filter} on {topic}");
        }
        let made = TopicTemplate::strict("s/{$area}/{1}", &pattern("+/b")).unwrap();
        assert_eq!(made.reach("+/b", "+/b").as_deref(), Some("s/#"));
        assert!(TopicTemplate::parse("s/{$area}", &pattern("+/b")).is_err());
    }

    #[test]
    fn a_prefix_is_cut_off_or_put_in_front() {
        for (filter, cut, add, topic, wanted) in [
            ("factory/#", "factory/", "site7/", "factory/a/b", Some("site7/a/b")),
            ("factory/#", "factory/", "site7/", "factory", Some("site7")),
            ("factory/#", "factory", "site7", "factory/a", Some("site7/a")),
            ("factory/+", "", "site7/", "factory/a", Some("site7/factory/a")),
            ("factory/#", "factory/", "", "factory/a", Some("a")),
            ("factory/#", "factory/", "", "factory", None),
        ] {
            let made = TopicTemplate::prefixed(cut, add, &pattern(filter)).unwrap();
            assert_eq!(made.render(filter, topic).ok().as_deref(), wanted, "{filter} on {topic}");
        }
        for (filter, cut) in [("factory/#", "other/"), ("+/a", "factory/"), ("a/+/b", "a/+")] {
            assert!(TopicTemplate::prefixed(cut, "", &pattern(filter)).is_err(), "{filter} {cut}");
        }
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        for (filter, template, wanted) in [
            ("a/b", "{1}", "`{1}` stands for nothing: `a/b` has no wildcard"),
            ("a/+x/#", "{3}", "the last wildcard of `a/+/#` is {2}"),
            ("a/+x", "{y}", "`{y}` stands for nothing"),
            ("a/+", "{}", "`{}` stands for nothing"),
            ("a/+", "{0}", "`{0}` stands for nothing"),
            ("a/+", "x/{1", "a `}` is missing"),
        ] {
            let fault = TopicTemplate::parse(template, &pattern(filter)).expect_err(template);
            assert!(fault.contains(wanted), "{fault}");
        }
    }

    #[test]
    fn no_topic_is_made_that_nobody_can_publish_to() {
        let long = "x".repeat(BYTES_MAX);
        for (template, topic, wanted) in [
            ("{1}", "a/", "empty"),
            ("x+/{1}", "a/b", "wildcard `+`"),
            ("x\0", "a/b", "NUL"),
            ("x{1}", &format!("a/{long}"), "at most 65535 bytes, not 65536"),
            ("{1}", "b", "does not match"),
        ] {
            let made = TopicTemplate::parse(template, &pattern("a/#")).unwrap();
            let fault = made.render("a/#", topic).expect_err(template);
            assert!(fault.contains(wanted), "{fault}");
        }
    }

    #[test]
    fn the_reach_of_a_template_is_a_filter() {
        for (filter, template, narrow, wanted) in [
            ("a/#", "site7/{topic}", "a/#", Some("site7/a/#")),
            ("a/#", "site7/{topic}", "a/b/+", Some("site7/a/b/+")),
            ("+x/up/#", "{x}/down", "+/up/#", Some("+/down")),
            ("+x/up/#", "{x}/down/{2}", "a/up", Some("a/down")),
            ("+x/up/#", "n-{x}/down", "+/up/#", Some("+/down")),
            ("a/#", "b/{1}/c", "a/#", Some("b/#")),
            ("a/#", "{topic}/c", "a/#", Some("a/#")),
            ("a/+", "b/{1}/c", "a/+", Some("b/+/c")),
            ("a/+", "fixed", "a/+", Some("fixed")),
            ("a/+", "", "a/+", None),
        ] {
            let pattern = pattern(filter);
            let made = TopicTemplate::parse(template, &pattern).unwrap();
            let reach = made.reach(&pattern.filter, narrow);
            assert_eq!(reach.as_deref(), wanted, "{template} of {filter} on {narrow}");
        }
        let cut = TopicTemplate::prefixed("a/", "", &pattern("a/+/#")).unwrap();
        assert_eq!(cut.reach("a/+/#", "a/+/#").as_deref(), Some("+/#"));
    }
}
