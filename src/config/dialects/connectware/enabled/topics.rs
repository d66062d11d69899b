//! Topics as service files write them: filters with captures, and topics that use them.

use crate::topic::{BYTES_MAX, Pattern, TopicTemplate, check_filter};

/// Shared subscriptions begin with this.
const SHARED: &str = "$share/";

/// What is subscribed to.
pub(super) struct Filter {
    /// Without group and names.
    pub(super) filter: String,
    /// The name of each wildcard, in their order; empty for those without.
    pub(super) names: Vec<String>,
    /// The group of a shared subscription.
    pub(super) group: Option<String>,
}

impl Filter {
    /// Reads a filter; `captures` says if its wildcards may have names.
    pub(super) fn read(text: &str, captures: bool) -> Result<Self, String> {
        plain(text)?;
        let (group, rest) = match text.strip_prefix(SHARED) {
            Some(rest) => match rest.split_once('/') {
                Some((group, rest)) if !group.is_empty() => (Some(group.to_owned()), rest),
                _ => return Err("a shared subscription is `$share/GROUP/FILTER`".to_owned()),
            },
            None => (None, text),
        };
        let mut at = text.chars().count() - rest.chars().count() + 1;
        let (mut levels, mut names) = (Vec::new(), Vec::new());
        let count = rest.split('/').count();
        for (number, level) in rest.split('/').enumerate() {
            levels.push(match level.chars().next().filter(|first| "+#".contains(*first)) {
                Some(first) => {
                    let name = &level[1..];
                    wildcard(first, name, at, number + 1 == count, captures)?;
                    if !name.is_empty() && names.iter().any(|other| other == name) {
                        return Err(format!(
                            "there are two captures of the name `{name}`, the \
                                            second at character {at}"
                        ));
                    }
                    names.push(name.to_owned());
                    &level[..1]
                }
                None => {
                    if let Some(found) = level.chars().position(|letter| "+#".contains(letter)) {
                        return Err(format!(
                            "at character {}: a wildcard stands at the beginning \
                                            of a level",
                            at + found
                        ));
                    }
                    level
                }
            });
            at += level.chars().count() + 1;
        }
        let filter = levels.join("/");
        check_filter(&filter)?;
        Ok(Filter { filter, names, group })
    }

    /// As it is subscribed to.
    pub(super) fn sent(&self) -> String {
        match &self.group {
            Some(group) => format!("{SHARED}{group}/{}", self.filter),
            None => self.filter.clone(),
        }
    }

    /// The names of captures, with the number of each from 0.
    pub(super) fn captures(&self) -> Vec<(String, usize)> {
        let named = self.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
        named.map(|(number, name)| (name.clone(), number)).collect()
    }

    /// A topic in which names of captures and of `variables` are used.
    pub(super) fn template(
        &self,
        text: &str,
        variables: &[String],
    ) -> Result<TopicTemplate, String> {
        let pattern =
            Pattern { filter: self.filter.clone(), names: vec![String::new(); self.names.len()] };
        TopicTemplate::strict(&self.translated(text, variables)?, &pattern)
    }

    /// A topic as it is, whatever braces it has.
    pub(super) fn literal(&self, text: &str) -> Result<TopicTemplate, String> {
        let pattern = Pattern { filter: self.filter.clone(), names: Vec::new() };
        TopicTemplate::strict(&text.replace('{', "{{"), &pattern)
    }

    /// The text of a template in our own words: captures by number, variables as `{$name}`.
    fn translated(&self, text: &str, variables: &[String]) -> Result<String, String> {
        let captures = self.captures();
        let known: Vec<&str> = variables
            .iter()
            .map(String::as_str)
            .chain(captures.iter().map(|(name, _)| name.as_str()))
            .collect();
        let place = |name: &str| {
            if variables.iter().any(|variable| variable == name) {
                return Some(format!("{{${name}}}"));
            }
            let (_, number) = captures.iter().find(|(capture, _)| capture == name)?;
            Some(format!("{{{}}}", number + 1))
        };
        let (mut made, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '$']) {
            let (before, found) = rest.split_at(at);
            made.push_str(before);
            let number = text.len() - found.len();
            let character = text[..number].chars().count() + 1;
            let after = &found[1..];
            if found.starts_with('{') {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(format!("at character {character}: a `}}` is missing"));
                };
                made.push_str(
                    &place(name).ok_or_else(|| self.no_capture(name, character, &known))?,
                );
                rest = after;
                continue;
            }
            let name = longest(after, &known);
            match name.and_then(place) {
                Some(place) => made.push_str(&place),
                // `$SYS` is a topic of its own.
                None if number > 0
                    && after.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_') =>
                {
                    let end = after.find(|it: char| !is_part(it)).unwrap_or(after.len());
                    return Err(self.no_capture(&after[..end], character, &known));
                }
                None => made.push('$'),
            }
            rest = &after[name.map_or(0, str::len)..];
        }
        made.push_str(rest);
        Ok(made)
    }

    fn no_capture(&self, name: &str, character: usize, known: &[&str]) -> String {
        let known = match known {
            [] => format!(
                "`{}` has no captures such as `+{}`",
                self.filter,
                if name.is_empty() { "name" } else { name }
            ),
            known => format!("there are {}", known.join(", ")),
        };
        format!("at character {character}: nothing has the name `{name}`: {known}")
    }
}

/// The longest of the names that a text begins with.
fn longest<'t>(text: &'t str, known: &[&str]) -> Option<&'t str> {
    let fits = known.iter().filter(|name| text.starts_with(**name));
    fits.map(|name| &text[..name.len()]).max_by_key(|name| name.len())
}

fn is_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Checks what stands behind `+` or `#`.
fn wildcard(
    first: char,
    name: &str,
    at: usize,
    is_last: bool,
    captures: bool,
) -> Result<(), String> {
    if first == '#' && !is_last {
        return Err(format!("at character {at}: `#` stands in the last level only"));
    }
    if name.is_empty() {
        return Ok(());
    }
    let is_name = !name.starts_with(|it: char| it.is_ascii_digit()) && name.chars().all(is_part);
    match (captures, is_name) {
        (true, true) => Ok(()),
        (true, false) => Err(format!(
            "at character {at}: the name of a capture has letters, digits and `_`, and begins with \
             no digit; a wildcard without a name stands alone between slashes"
        )),
        (false, _) => Err(format!(
            "at character {at}: `{first}` stands alone between slashes (captures are for mappings)"
        )),
    }
}

/// A topic that is published to, without any wildcard.
pub(super) fn topic(text: &str) -> Result<String, String> {
    plain(text)?;
    match text.chars().position(|letter| "+#".contains(letter)) {
        Some(at) => {
            Err(format!("at character {}: a topic that is published to has no wildcard", at + 1))
        }
        None => Ok(text.to_owned()),
    }
}

fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a topic may not be empty".to_owned());
    }
    if text.len() > BYTES_MAX {
        return Err(format!("a topic has at most {BYTES_MAX} bytes, not {}", text.len()));
    }
    match text.chars().position(|letter| letter == '\0') {
        Some(at) => Err(format!("at character {}: a topic may not contain NUL", at + 1)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_have_names() {
        for (text, wanted) in [
            ("a/+id/#rest", Ok(("a/+/#", "id rest"))),
            ("test/#topic", Ok(("test/#", "topic"))),
            ("+/+_x1", Ok(("+/+", " _x1"))),
            ("foo+", Err("at character 4: a wildcard stands at the beginning of a level")),
            ("a/+x-y", Err("at character 3: the name of a capture has letters")),
            ("a/#r/b", Err("at character 3: `#` stands in the last level only")),
            ("+a/+a", Err("there are two captures of the name `a`, the second at character 4")),
            ("", Err("a topic may not be empty")),
        ] {
            match (Filter::read(text, true), wanted) {
                (Ok(found), Ok((filter, names))) => {
                    assert_eq!(
                        (found.filter.as_str(), found.names.join(" ").as_str()),
                        (filter, names)
                    );
                }
                (Err(found), Err(words)) => assert!(found.contains(words), "{found}"),
                (found, _) => panic!("{text}: {:?}", found.map(|it| it.filter)),
            }
        }
        let fault = Filter::read("a/+id", false).err().unwrap();
        assert!(fault.contains("captures are for mappings"), "{fault}");
        assert_eq!(Filter::read("$share/g/a/#", false).unwrap().group.as_deref(), Some("g"));
    }

    #[test]
    fn names_are_replaced_by_what_they_stand_for() {
        let filter = Filter::read("m/+id/+/#topic", true).unwrap();
        let variables = ["area".to_owned(), "i".to_owned()];
        for (text, wanted) in [
            ("s/{area}/{id}", Ok("s/{$area}/{1}")),
            ("T/$topic", Ok("T/{3}")),
            ("T/$id-$topics", Ok("T/{1}-{3}s")),
            ("$SYS/x", Ok("$SYS/x")),
            (
                "a/{x}",
                Err("at character 3: nothing has the name `x`: there are area, i, id, topic"),
            ),
            ("a/$x", Err("at character 3: nothing has the name `x`")),
            ("a/{id", Err("at character 3: a `}` is missing")),
        ] {
            match (filter.translated(text, &variables), wanted) {
                (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{text}"),
                (Err(found), Err(words)) => assert!(found.contains(words), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
