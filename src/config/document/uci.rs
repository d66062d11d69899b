//! UCI, the settings of OpenWrt, as `/etc/config/NAME` and `uci export` have them: sections of
//! options. Here a list is an option with several values.

use super::SyntaxError;

/// `config KIND 'NAME'`, and the lines below it.
#[derive(Debug, PartialEq)]
pub struct Section {
    /// The byte at which it begins.
    pub at: usize,
    /// What kind of section it is.
    pub kind: String,
    /// Its name; `@KIND[NUMBER]`, as `uci get` takes it, if it has none.
    pub name: String,
    /// Its options, in the order of the file.
    pub settings: Vec<Setting>,
}

/// The lines of a section that have the same name.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// The byte at which the first of them begins.
    pub at: usize,
    /// Its name.
    pub name: String,
    /// Its values, each with its place. Empty texts are none.
    pub values: Vec<Word>,
}

/// A text and its place.
pub type Word = (usize, String);

impl Section {
    /// An option, if it is there.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The first value of an option, if it has one.
    pub fn value(&self, name: &str) -> Option<&Word> {
        self.setting(name).and_then(|setting| setting.values.first())
    }

    /// One more line: `option`, or `list` if there may be `several`.
    fn add(
        &mut self,
        at: usize,
        several: bool,
        name: Word,
        value: Word,
    ) -> Result<(), SyntaxError> {
        let known = self.settings.iter().position(|setting| setting.name == name.1);
        if known.is_some() && !several {
            let what = "has been set before in this section; where several values are allowed, write \
                        `list` for each";
            return Err((name.0, format!("`{}` {what}", name.1)));
        }
        let number = known.unwrap_or(self.settings.len());
        if known.is_none() {
            self.settings.push(Setting { at, name: name.1, values: Vec::new() });
        }
        if !value.1.is_empty() {
            self.settings[number].values.push(value);
        }
        Ok(())
    }
}

/// Reads settings. Like `uci`, it joins sections of one name.
pub fn parse(text: &str) -> Result<Vec<Section>, SyntaxError> {
    let mut sections: Vec<Section> = Vec::new();
    let mut current = None;
    let mut lines = Lines { text, at: 0 };
    while let Some((at, what)) = lines.command()? {
        let several = what.starts_with('l');
        match what.as_str() {
            "p" | "package" => {
                lines.need("a name")?;
            }
            "c" | "config" => {
                let (_, kind) = lines.need("a type")?;
                let name = match lines.word()? {
                    Some(name) => plain(name)?.1,
                    None => String::new(),
                };
                current = Some(begin(&mut sections, at, kind, name));
            }
            "o" | "option" | "l" | "list" => {
                let name = plain(lines.need("a name")?)?;
                let value = lines.need("a value")?;
                let Some(current) = current else {
                    return Err((at, "this is before the first `config`".to_owned()));
                };
                sections[current].add(at, several, name, value)?;
            }
            _ => return Err((at, format!("`{what}` is not `config`, `option` or `list`"))),
        }
        if let Some((at, word)) = lines.word()? {
            return Err((at, format!("`{word}` is one word too many; a value needs quotes")));
        }
    }
    Ok(sections)
}

/// The number of the section that begins or goes on.
fn begin(sections: &mut Vec<Section>, at: usize, kind: String, mut name: String) -> usize {
    if name.is_empty() {
        let before = sections.iter().filter(|section| section.kind == kind).count();
        name = format!("@{kind}[{before}]");
    }
    let known = sections.iter().position(|section| section.name == name);
    known.unwrap_or_else(|| {
        sections.push(Section { at, kind, name, settings: Vec::new() });
        sections.len() - 1
    })
}

/// A name, if it can be one.
fn plain(word: Word) -> Result<Word, SyntaxError> {
    if word.1.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(word);
    }
    Err((word.0, format!("`{}` is no name: it has only letters, digits and `_`", word.1)))
}

struct Lines<'a> {
    text: &'a str,
    at: usize,
}

impl Lines<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// The first word of the next line that has any.
    fn command(&mut self) -> Result<Option<Word>, SyntaxError> {
        loop {
            if let Some(word) = self.word()? {
                return Ok(Some(word));
            }
            match self.peek() {
                Some(end) => self.at += end.len_utf8(),
                None => return Ok(None),
            }
        }
    }

    /// The next word of the line, which has to be there.
    fn need(&mut self, what: &str) -> Result<Word, SyntaxError> {
        self.word()?.ok_or_else(|| (self.at, format!("here {what} is missing")))
    }

    /// The next word of the line, without its quotes.
    fn word(&mut self) -> Result<Option<Word>, SyntaxError> {
        while let Some(' ' | '\t' | '\r') = self.peek() {
            self.at += 1;
        }
        let begin = self.at;
        let (mut word, mut quote, mut there) = (String::new(), None, false);
        while let Some(next) = self.peek() {
            match (next, quote) {
                (' ' | '\t' | '\r' | '\n', None) => break,
                ('#', None) => {
                    let length = self.text[self.at..].find('\n');
                    self.at = length.map_or(self.text.len(), |length| self.at + length);
                    break;
                }
                ('\'' | '"', None) => quote = Some((self.at, next)),
                (_, Some((_, open))) if next == open => quote = None,
                ('\\', None | Some((_, '"'))) => {
                    self.at += 1;
                    // A line end behind it is none.
                    word.extend(self.peek().filter(|escaped| *escaped != '\n'));
                    self.at += self.peek().map_or(0, char::len_utf8);
                    there = true;
                    continue;
                }
                _ => word.push(next),
            }
            there = true;
            self.at += next.len_utf8();
        }
        match quote {
            Some((at, _)) => Err((at, "this quote is not closed".to_owned())),
            None => Ok(there.then_some((begin, word))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections as `kind name: option=value,value`.
    fn shown(text: &str) -> Result<Vec<String>, SyntaxError> {
        let values = |setting: &Setting| {
            let values: Vec<_> = setting.values.iter().map(|(_, value)| value.as_str()).collect();
            format!(" {}={}", setting.name, values.join(","))
        };
        let shown = |section: &Section| {
            let settings: String = section.settings.iter().map(values).collect();
            format!("{} {}:{settings}", section.kind, section.name)
        };
        Ok(parse(text)?.iter().map(shown).collect())
    }

    #[test]
    fn settings_are_read_as_uci_reads_them() {
        for (text, wanted) in [
            ("", &[][..]),
            ("# nothing\n\n", &[]),
            ("package 'p'\nconfig a 'b'\n\toption x '1'\n", &["a b: x=1"]),
            ("config a b\r\noption x 1 # one\r\n", &["a b: x=1"]),
            ("config a\nconfig b\nconfig a\n", &["a @a[0]:", "b @b[0]:", "a @a[1]:"]),
            ("c a b\no y 4\nl x 1\nlist x '2 3'\n", &["a b: y=4 x=1,2 3"]),
            ("config a b\noption x 1\nlist x 2\n", &["a b: x=1,2"]),
            ("config a b\noption x ''\n", &["a b: x="]),
            (
                "config a b\noption x 1\nconfig c d\nconfig a b\noption y 2\n",
                &["a b: x=1 y=2", "c d:"],
            ),
            (
                r#"config a b
                option x 'it'\''s "so" \n'"#,
                &[r#"a b: x=it's "so" \n"#],
            ),
            (
                r#"config a b
                option x "a\"b\\c"\ d"#,
                &[r#"a b: x=a"b\c d"#],
            ),
            ("config a b\noption x 'two\nlines # of text'", &["a b: x=two\nlines # of text"]),
            ("config a b\noption x \"two\\\nlines\"", &["a b: x=twolines"]),
        ] {
            assert_eq!(shown(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_uci_would_refuse_or_lose_is_a_fault() {
        for (text, at, what) in [
            ("confg a", 0, "`confg` is not `config`, `option` or `list`"),
            ("option x 1", 0, "this is before the first `config`"),
            ("config", 6, "here a type is missing"),
            ("config a b\noption", 17, "here a name is missing"),
            ("config a b\noption x\n", 19, "here a value is missing"),
            ("config a b c", 11, "`c` is one word too many; a value needs quotes"),
            ("config a b\noption x 'y", 20, "this quote is not closed"),
            ("config a 'b c'", 9, "`b c` is no name: it has only letters, digits and `_`"),
            (
                "config a b\noption x 1\noption x 2",
                29,
                "`x` has been set before in this section; where several values are allowed, write `list` for each",
            ),
        ] {
            assert_eq!(parse(text), Err((at, what.to_owned())), "{text}");
        }
    }
}
