//! `kapacitor replay`: what a script would publish for a file of points, in an instant.
//!
//! There is no broker, no database and no clock: the time is that of the points, so the same files
//! always say the same.

mod run;

use super::{Failure, Options, option};
use crate::alerts::handlers::HandlerSpec;
use crate::alerts::line::{Lines, Shelf};
use crate::alerts::pipeline::Pipeline;
use crate::alerts::script::{self, Vars};
use crate::alerts::zone::Zone;
use crate::alerts::{Name, Point, Settings};
use crate::config::document::untyped;
use crate::config::{Precision, Surroundings};
use crate::system::zone;
use run::Replay;
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

/// The largest file of points, in bytes.
const POINTS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What was asked for.
#[derive(Debug, Default)]
struct Asked {
    tick: String,
    points: String,
    handlers: Vec<String>,
    vars: Option<String>,
    dbrp: Option<(String, String)>,
    precision: Precision,
    /// How long time goes on behind the last point, in nanoseconds.
    after: i64,
    json: bool,
    recover: bool,
}

/// Runs a script over a file of points; gives back what it would publish.
///
/// # Errors
///
/// Says what is wrong with the words, or with one of the files.
pub(super) fn run(words: &[&str], around: &Surroundings<'_>) -> Result<String, Failure> {
    let asked =
        read(words).map_err(|what| Failure::arguments(format!("kapacitor replay: {what}")))?;
    let pipeline = pipeline(&asked)?;
    let handlers = asked.handlers.iter().map(|file| handler(file)).collect::<Result<_, _>>()?;
    let points = points(&asked, &pipeline)?;
    // What is driven by time begins with the first point.
    let start = points.first().map_or(0, |point| point.time);
    let id = Path::new(&asked.tick).file_stem().unwrap_or_default().to_string_lossy();
    let settings = Settings {
        failed_is_false: asked.recover,
        zone: local_time(around)?,
        ..Settings::default()
    };
    let replay = Replay::new(&id, pipeline, handlers, settings, start);
    Ok(replay.run(&points, start, asked.after).printed(asked.json))
}

/// What the script calls local time: the same as in the daemon.
fn local_time(around: &Surroundings<'_>) -> Result<Zone, Failure> {
    let Some(rule) = zone::rule_with((around.env)("TZ").as_deref()) else { return Ok(Zone::UTC) };
    Zone::read(&rule).ok_or_else(|| {
        Failure::command(format!(
            "the local time `{rule}` is neither a name such as Europe/Berlin nor a rule such as \
             CET-1CEST,M3.5.0,M10.5.0/3; `TZ=UTC` goes without"
        ))
    })
}

fn read(words: &[&str]) -> Result<Asked, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut given = Options::new(&words);
    let mut asked = Asked::default();
    while let Some(word) = given.next() {
        let Some((name, value)) = option(&word) else {
            return Err(format!("`{word}` is one word too many; values belong to an option"));
        };
        match name {
            "json" => asked.json = true,
            "recover" => asked.recover = true,
            _ => {
                let value = value.map(str::to_owned).or_else(|| given.next());
                let value = value.ok_or_else(|| format!("`-{name}` needs a value"))?;
                asked.take(name, value)?;
            }
        }
    }
    match (asked.tick.as_str(), asked.points.as_str()) {
        ("", _) => Err("`-tick` is missing: the file with the script".to_owned()),
        (_, "") => Err("`-points` is missing: a file with points in line protocol".to_owned()),
        _ => Ok(asked),
    }
}

impl Asked {
    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "tick" => self.tick = value,
            "points" => self.points = value,
            "handler" => self.handlers.push(value),
            "vars" => self.vars = Some(value),
            "dbrp" => {
                let pair = value.split_once('.').ok_or("`-dbrp` is written \"db\".\"rp\"")?;
                let bare = |name: &str| name.trim_matches('"').to_owned();
                self.dbrp = Some((bare(pair.0), bare(pair.1)));
            }
            "precision" => self.precision = Precision::of(&value)?,
            "after" => {
                let duration = script::nanoseconds(&value)
                    .ok_or_else(|| format!("`{value}` is not a duration such as 90s, 10m or 1h"))?;
                self.after = duration;
            }
            "recording" | "task" | "replay-id" | "rec-time" | "real-clock" => {
                return Err("recordings are not supported; give -tick FILE -points FILE".to_owned());
            }
            _ => return Err(format!("there is no option `-{name}`")),
        }
        Ok(())
    }
}

/// The text of a file.
fn text(file: &str, bytes_max: u64) -> Result<String, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::command(format!("{file}: {why}"));
    let open = fs::File::open(file).map_err(|error| wrong(&error))?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(open, bytes_max + 1), &mut bytes)
        .map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(wrong(&format_args!("it is larger than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))
}

fn pipeline(asked: &Asked) -> Result<Pipeline, Failure> {
    let text = text(&asked.tick, script::SCRIPT_BYTES_MAX as u64)?;
    let vars = match &asked.vars {
        Some(file) => {
            let json = document(file)?;
            Vars::read(&json).map_err(|what| Failure::command(format!("{file}: {what}")))?
        }
        None => Vars::default(),
    };
    let built = script::parse(&text)
        .map_err(script::Faults::from)
        .and_then(|script| script::build(&script, &vars));
    built.map_err(|faults| {
        let faults: Vec<String> =
            faults.0.iter().map(|fault| fault.of_file(&asked.tick).to_string()).collect();
        Failure::command(faults.join("\n"))
    })
}

/// A file in JSON or YAML.
fn document(file: &str) -> Result<Value, Failure> {
    const BYTES_MAX: u64 = 1024 * 1024;
    let text = text(file, BYTES_MAX)?;
    untyped::read(file, &text).map_err(|(at, what)| {
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        Failure::command(format!("{file}:{line}: {what}"))
    })
}

fn handler(file: &str) -> Result<HandlerSpec, Failure> {
    let json = document(file)?;
    HandlerSpec::read(&json).map_err(|what| Failure::command(format!("{file}: {what}")))
}

fn points(asked: &Asked, pipeline: &Pipeline) -> Result<Vec<Point>, Failure> {
    let text = text(&asked.points, POINTS_BYTES_MAX)?;
    let wrong = |fault| Failure::command(format!("{}: {fault}", asked.points));
    let (database, policy): (Name, Name) = match (&asked.dbrp, pipeline.dbrps.first()) {
        (Some((database, policy)), _) => (database.as_str().into(), policy.as_str().into()),
        (None, Some(dbrp)) => ((*dbrp.database).into(), (*dbrp.retention_policy).into()),
        (None, None) => ("".into(), "".into()),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut lines = Lines::new(text.as_bytes(), asked.precision).map_err(wrong)?;
    let (mut shelf, mut points) = (Shelf::default(), Vec::new());
    while let Some(line) = lines.next() {
        points.push(line.map_err(wrong)?.point((&database, &policy), now, &mut shelf));
    }
    Ok(points)
}
