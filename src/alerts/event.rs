//! An alert: what a task says when a level is reached, and its JSON.

use super::json::{self, NotFinite, push};
use super::point::{Fields, Name, Point, Tags};
use std::collections::BTreeSet;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All is well.
    #[default]
    Ok,
    /// Worth knowing.
    Info,
    /// Something will have to be done.
    Warning,
    /// Something has to be done now.
    Critical,
}

impl Level {
    /// All of them, from below.
    pub const ALL: [Level; 4] = [Level::Ok, Level::Info, Level::Warning, Level::Critical];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }

    /// The level that a word means: its name or the beginning of it, in any case. Nothing means
    /// `OK`.
    #[must_use]
    pub fn of(word: &str) -> Option<Level> {
        let word = word.to_ascii_uppercase();
        Level::ALL.into_iter().find(|level| level.name().starts_with(&word))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a task says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// The topic it goes to.
    pub topic: Name,
    /// Which alert it is about; of two with the same one the later one counts.
    pub id: String,
    /// What it says, for people.
    pub message: String,
    /// What else there is to say.
    pub details: String,
    /// The time of the point behind it, in nanoseconds since 1970.
    pub time: i64,
    /// For how long it has not been `OK`, in nanoseconds.
    pub duration: i64,
    /// How bad it is now.
    pub level: Level,
    /// How bad it was before, in this topic.
    pub previous_level: Level,
    /// Whether an `OK` may follow.
    pub recoverable: bool,
    /// The task that says it.
    pub task: Name,
    /// The measurement.
    pub name: Name,
    /// The group, such as `host=a,rack=1`; empty if there is only one.
    pub group: Name,
    /// The tags that templates see.
    pub tags: Tags,
    /// The fields that templates see.
    pub fields: Fields,
    /// The points behind it.
    pub series: Vec<Series>,
}

/// Points of one measurement with the same tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The measurement.
    pub name: Name,
    /// The tags that all of them have.
    pub tags: Tags,
    /// The points.
    pub rows: Vec<Row>,
}

/// A point of a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// Its values.
    pub fields: Fields,
    /// Tags that others of the series do not have, too.
    pub tags: Tags,
}

impl From<&Point> for Series {
    fn from(point: &Point) -> Self {
        let row = Row { time: point.time, fields: point.fields.clone(), tags: Tags::default() };
        Series { name: point.measurement.clone(), tags: point.tags.clone(), rows: vec![row] }
    }
}

impl Event {
    /// Writes it as one line of JSON, without the end of the line.
    ///
    /// # Errors
    ///
    /// Fails if one of its values has no word in JSON.
    pub fn write_json(&self, out: &mut String) -> Result<(), NotFinite> {
        for (key, value) in [
            ("{\"id\":", self.id.as_str()),
            (",\"message\":", &self.message),
            (",\"details\":", &self.details),
        ] {
            out.push_str(key);
            json::text(out, value);
        }
        out.push_str(",\"time\":");
        json::time(out, self.time);
        let (duration, level) = (self.duration, self.level);
        push(out, format_args!(",\"duration\":{duration},\"level\":\"{level}\",\"data\":{{"));
        if !self.series.is_empty() {
            out.push_str("\"series\":");
            json::list(out, &self.series, |out, series| series.write_json(out))?;
        }
        let (previous, recoverable) = (self.previous_level, self.recoverable);
        push(
            out,
            format_args!("}},\"previousLevel\":\"{previous}\",\"recoverable\":{recoverable}}}"),
        );
        Ok(())
    }
}

impl Series {
    /// Writes them as JSON.
    pub(super) fn write_json(&self, out: &mut String) -> Result<(), NotFinite> {
        out.push_str("{\"name\":");
        json::text(out, &self.name);
        if !self.tags.is_empty() {
            out.push_str(",\"tags\":");
            json::tags(out, &self.tags);
        }
        let columns = self.columns();
        out.push_str(",\"columns\":[\"time\"");
        for column in &columns {
            out.push(',');
            json::text(out, column);
        }
        out.push_str("],\"values\":");
        json::list(out, &self.rows, |out, row| row.write_json(out, &columns))?;
        out.push('}');
        Ok(())
    }

    /// The names of all values but the time.
    fn columns(&self) -> BTreeSet<&Name> {
        let mut columns = BTreeSet::new();
        for row in &self.rows {
            columns.extend(row.fields.iter().map(|(key, _)| key));
            let others = row.tags.iter().map(|(key, _)| key);
            columns.extend(others.filter(|key| self.tags.get(key).is_none()));
        }
        columns
    }
}

impl Row {
    fn write_json(&self, out: &mut String, columns: &BTreeSet<&Name>) -> Result<(), NotFinite> {
        out.push('[');
        json::time(out, self.time);
        for column in columns {
            out.push(',');
            match (self.fields.get(column), self.tags.get(column)) {
                (Some(field), _) => json::field(out, field)?,
                (None, Some(tag)) => json::text(out, tag),
                (None, None) => out.push_str("null"),
            }
        }
        out.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::point::Field;

    fn point() -> Point {
        Point {
            database: "telegraf".into(),
            retention_policy: "autogen".into(),
            measurement: "cpu".into(),
            tags: [("host".into(), "a".into())].into_iter().collect(),
            fields: [("usage_idle".into(), Field::from(9.25))].into_iter().collect(),
            time: 1_714_979_289_000_000_000,
        }
    }

    fn event() -> Event {
        Event {
            id: "cpu:nil".to_owned(),
            message: "cpu:nil is CRITICAL".to_owned(),
            time: point().time,
            level: Level::Critical,
            recoverable: true,
            series: vec![Series::from(&point())],
            ..Event::default()
        }
    }

    fn json(event: &Event) -> String {
        let mut out = String::new();
        event.write_json(&mut out).unwrap();
        out
    }

    #[test]
    fn an_event_reads_as_kapacitor_writes_it() {
        let wanted = r#"{"id":"cpu:nil","message":"cpu:nil is CRITICAL","details":"","time":"2024-05-06T07:08:09Z","duration":0,"level":"CRITICAL","data":{"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","usage_idle"],"values":[["2024-05-06T07:08:09Z",9.25]]}]},"previousLevel":"OK","recoverable":true}"#;
        assert_eq!(json(&event()), wanted);
    }

    #[test]
    fn rows_have_a_value_for_each_column() {
        let row = |tag: &str, field: (&str, Field)| Row {
            time: 0,
            fields: [(field.0.into(), field.1)].into_iter().collect(),
            tags: [("host".into(), "a".into()), (tag.into(), "x".into())].into_iter().collect(),
        };
        let rows = vec![row("rack", ("a", 1_i64.into())), row("zone", ("b", true.into()))];
        let tags = point().tags;
        let series = vec![Series { name: "cpu".into(), tags, rows }];
        let found = json(&Event { series, ..event() });
        let wanted = r#""columns":["time","a","b","rack","zone"],"values":[["1970-01-01T00:00:00Z",1,null,"x",null],["1970-01-01T00:00:00Z",null,true,null,"x"]]"#;
        assert!(found.contains(wanted), "{found}");
        assert!(json(&Event::default()).contains(r#""data":{},"#));
    }

    #[test]
    fn what_json_has_no_word_for_is_an_error() {
        let mut point = point();
        point.fields.set("usage_idle".into(), f64::NAN.into());
        let event = Event { series: vec![Series::from(&point)], ..event() };
        assert_eq!(event.write_json(&mut String::new()), Err(NotFinite));
    }

    #[test]
    fn a_level_is_its_name_or_the_beginning_of_it() {
        for (word, wanted) in [
            ("", Some(Level::Ok)),
            ("ok", Some(Level::Ok)),
            ("i", Some(Level::Info)),
            ("Warn", Some(Level::Warning)),
            ("CRITICAL", Some(Level::Critical)),
            ("criticals", None),
            ("error", None),
        ] {
            assert_eq!(Level::of(word), wanted, "{word}");
        }
    }
}
