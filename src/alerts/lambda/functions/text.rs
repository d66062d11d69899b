//! Texts. Places and lengths count bytes, as Go's do.

use super::{Body, Function, TEXT_MAX, Trouble, takes};
use crate::alerts::lambda::Scope;
use crate::alerts::lambda::types::{Type, Value};
use std::borrow::Cow;

use Type::{Int, Regex, Text};

pub(super) const TABLE: &[Function] = &[
    test("strContains", |text, part| text.contains(part)),
    test("strContainsAny", |text, set| text.contains(among(set))),
    find("strCount", |text, part| number(text.matches(part).count())),
    test("strHasPrefix", |text, part| text.starts_with(part)),
    test("strHasSuffix", |text, part| text.ends_with(part)),
    find("strIndex", |text, part| place(text.find(part))),
    find("strIndexAny", |text, set| place(text.find(among(set)))),
    find("strLastIndex", |text, part| place(text.rfind(part))),
    find("strLastIndexAny", |text, set| place(text.rfind(among(set)))),
    other("strLength", &[takes(&[Text], Int)], length),
    other("strReplace", &[takes(&[Text, Text, Text, Int], Text)], replace),
    other("strSubstring", &[takes(&[Text, Int, Int], Text)], substring),
    other("strToLower", &[takes(&[Text], Text)], lower),
    other("strToUpper", &[takes(&[Text], Text)], upper),
    cut("strTrim", |text, set| text.trim_matches(among(set))),
    cut("strTrimLeft", |text, set| text.trim_start_matches(among(set))),
    cut("strTrimPrefix", |text, part| text.strip_prefix(part).unwrap_or(text)),
    cut("strTrimRight", |text, set| text.trim_end_matches(among(set))),
    other("strTrimSpace", &[takes(&[Text], Text)], trim_space),
    cut("strTrimSuffix", |text, part| text.strip_suffix(part).unwrap_or(text)),
    other("regexReplace", &[takes(&[Regex, Text, Text], Text)], regex_replace),
];

const fn test(name: &'static str, body: fn(&str, &str) -> bool) -> Function {
    Function { name, body: Body::Test(body) }
}

const fn find(name: &'static str, body: fn(&str, &str) -> i64) -> Function {
    Function { name, body: Body::Find(body) }
}

const fn cut(name: &'static str, body: for<'t> fn(&'t str, &str) -> &'t str) -> Function {
    Function { name, body: Body::Cut(body) }
}

const fn other(
    name: &'static str,
    signatures: &'static [super::Signature],
    body: super::Call,
) -> Function {
    Function { name, body: Body::Other(signatures, body) }
}

/// Whether a character is among those of a text.
fn among(set: &str) -> impl Fn(char) -> bool + Copy {
    move |one| set.contains(one)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn place(found: Option<usize>) -> i64 {
    found.map_or(-1, number)
}

fn length<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text)] = given else { return Err(Trouble::Arguments) };
    Ok(Value::Int(number(text.len())))
}

fn replace<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text), Value::Text(old), Value::Text(new), Value::Int(times)] = given else {
        return Err(Trouble::Arguments);
    };
    let times = usize::try_from(*times).unwrap_or(usize::MAX);
    let mut made = String::new();
    let mut end = 0;
    for (start, found) in text.match_indices(&**old).take(times) {
        made.push_str(&text[end..start]);
        made.push_str(new);
        end = start + found.len();
        bounded(made.len())?;
    }
    made.push_str(&text[end..]);
    bounded(made.len())?;
    Ok(Value::Text(Cow::Owned(made)))
}

fn substring<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text), Value::Int(start), Value::Int(stop)] = given else {
        return Err(Trouble::Arguments);
    };
    let range = usize::try_from(*start).ok().zip(usize::try_from(*stop).ok());
    // Kapacitor refuses a stop at the very end, too, and scripts are written around that.
    let Some((start, stop)) = range.filter(|(_, stop)| *stop < text.len()) else {
        let words = format!("{start} to {stop} is not within a text of {} bytes", text.len());
        return Err(Trouble::Words(words + "; the end must be before the last byte"));
    };
    let part = |text: &str| text.get(start..stop).map(str::to_owned);
    let part = match text {
        Cow::Borrowed(text) => text.get(start..stop).map(Cow::Borrowed),
        Cow::Owned(text) => part(text).map(Cow::Owned),
    };
    part.map(Value::Text).ok_or_else(|| {
        Trouble::Words(format!("{start} to {stop} is backwards or cuts a character in two"))
    })
}

fn lower<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text)] = given else { return Err(Trouble::Arguments) };
    Ok(Value::Text(Cow::Owned(text.to_lowercase())))
}

fn upper<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text)] = given else { return Err(Trouble::Arguments) };
    Ok(Value::Text(Cow::Owned(text.to_uppercase())))
}

fn trim_space<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Text(text)] = given else { return Err(Trouble::Arguments) };
    Ok(Value::Text(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }))
}

fn regex_replace<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let [Value::Regex(regex), Value::Text(text), Value::Text(new)] = given else {
        return Err(Trouble::Arguments);
    };
    let mut made = String::new();
    let mut end = 0;
    for found in regex.captures_iter(text) {
        let Some(whole) = found.get(0) else { break };
        made.push_str(&text[end..whole.start()]);
        found.expand(new, &mut made);
        end = whole.end();
        bounded(made.len())?;
    }
    made.push_str(&text[end..]);
    bounded(made.len())?;
    Ok(Value::Text(Cow::Owned(made)))
}

fn bounded(length: usize) -> Result<(), Trouble> {
    if length > TEXT_MAX {
        return Err(Trouble::Words(format!("the text would be longer than {TEXT_MAX} bytes")));
    }
    Ok(())
}
