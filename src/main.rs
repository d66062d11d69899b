//! Reads the command line, runs, turns the result into words and an exit code.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one file that prints")]

use ilagent::cli::event::Ready;
use ilagent::cli::{self, Command, Invocation, describe, event, heartbeat};
use ilagent::config::dialects::ilagent::Asked;
use ilagent::config::{Checked, Config, Surroundings};
use ilagent::system::log::Reader;
use ilagent::system::plain::{line, lines};
use ilagent::{agent, queue, sources, system};
use std::backtrace::Backtrace;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, panic, process};

/// Gives memory back after a burst; see Cargo.toml.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// It did not work: no such file, no such port, no answer.
const FAILED: u8 = 1;

/// The command line or the configuration is wrong.
const WRONG: u8 = 2;

/// Largest file read as configuration or secret, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

fn main() -> ExitCode {
    end_with_any_thread();
    match cli::read(cli::words(env::args_os())) {
        Ok(invocation) => run(invocation),
        Err(usage) => wrong(&usage),
    }
}

/// A thread that panics must not leave a half-dead agent, even in a build that unwinds, as
/// OpenWrt's does.
fn end_with_any_thread() {
    panic::set_hook(Box::new(|what| {
        let thread = std::thread::current();
        let who = thread.name().unwrap_or("without a name").to_owned();
        // Its words may quote what it was looking at, which may come from anybody.
        eprintln!("ilagent: thread '{who}' {}", line(&what.to_string()));
        if env::var_os("RUST_BACKTRACE").is_some() {
            eprintln!("{}", Backtrace::force_capture());
        }
        process::abort();
    }));
}

fn run(invocation: Invocation) -> ExitCode {
    let rust_log = env::var("RUST_LOG").ok();
    let level = system::log::level(invocation.verbosity, rust_log.as_deref());
    let journal = env::var_os("JOURNAL_STREAM").is_some();
    system::log::start(level, Reader::of(journal, env::var("ILAGENT_LOG").ok().as_deref()));
    let around = Surroundings {
        env: &|name| env::var(name).ok(),
        read: &read,
        list: &list,
        is_open: &system::files::is_open,
        has_kafka: sources::kafka::BUILT_IN,
    };
    match invocation.command {
        Command::Daemon(asked) => daemon(&asked, &around),
        Command::Check(asked) => match configured(&asked, &around) {
            Ok(config) => check(&config),
            Err(code) => code,
        },
        Command::Event(asked) => {
            let ready = Ready::find(asked.integration_key.as_ref(), &event::VARIABLES, &around);
            ready.map_or_else(|faults| wrong(&faults), |ready| done(event::run(&asked, &ready)))
        }
        Command::Heartbeat(asked) => {
            let ready = Ready::find(asked.integration_key.as_ref(), &heartbeat::VARIABLES, &around);
            ready.map_or_else(|faults| wrong(&faults), |ready| done(heartbeat::run(&ready)))
        }
        Command::Queue { database, command } => {
            done(queue::admin::run(&database, &command).map(|text| {
                write(&command.output(&text));
            }))
        }
        Command::Status { database, asked } => status(&database, &asked),
        Command::Tail { database, wanted } => {
            let mut show = |passed: &str| write(format!("{}\n", line(passed)).as_bytes());
            done(queue::admin::follow(&database, &wanted, &mut show))
        }
        Command::Kapacitor(ask) => match cli::kapacitor::run(&ask, &around) {
            Ok(text) => {
                write(text.as_bytes());
                ExitCode::SUCCESS
            }
            Err(failure) => {
                eprintln!("{}", lines(&failure.to_string()));
                ExitCode::from(failure.code())
            }
        },
        Command::Say(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
    }
}

/// Prints how the agent is, once or again and again. The exit code says whether it is ready.
fn status(database: &Path, asked: &cli::status::Status) -> ExitCode {
    let colours = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    loop {
        let ready = match queue::admin::status(database) {
            Ok(document) => {
                let shown = asked.shown(&document, colours);
                say(&shown.text);
                shown.ready
            }
            Err(why) if asked.watch => {
                say(&asked.absent(&why, colours));
                false
            }
            Err(why) => return done(Err(why)),
        };
        if !asked.watch {
            return if ready { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
        }
        std::thread::sleep(cli::status::BETWEEN_LOOKS);
    }
}

/// Listens for signals from the beginning: a SIGHUP ends a process that does not.
fn daemon(asked: &Asked, around: &Surroundings<'_>) -> ExitCode {
    let signals = match system::signals::listen() {
        Ok(signals) => signals,
        Err(error) => return done(Err(format!("signals: {error}"))),
    };
    match configured(asked, around) {
        Ok(config) => done(agent::run(config, &signals, &|| read_again(asked, around))),
        Err(code) => code,
    }
}

/// What to do, or the exit code after all faults have been reported.
fn configured(asked: &Asked, around: &Surroundings<'_>) -> Result<Config, ExitCode> {
    match cli::daemon::configure(asked, around) {
        Ok(Checked { config, warnings }) => {
            warnings.iter().for_each(|warning| log::warn!("{warning}"));
            Ok(config)
        }
        Err(faults) => Err(wrong(&faults)),
    }
}

/// The configuration as it is now; what is wrong goes to the log.
fn read_again(asked: &Asked, around: &Surroundings<'_>) -> Option<Config> {
    match cli::daemon::configure(asked, around) {
        Ok(Checked { config, warnings }) => {
            warnings.iter().for_each(|warning| log::warn!("{warning}"));
            Some(config)
        }
        Err(faults) => {
            faults.0.iter().for_each(|fault| log::error!("config: {fault}"));
            None
        }
    }
}

fn wrong(faults: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{}", lines(&faults.to_string()));
    ExitCode::from(WRONG)
}

fn check(config: &Config) -> ExitCode {
    say(&describe::describe(config));
    match agent::check(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            for fault in faults {
                eprintln!("ilagent: {}", line(&fault));
            }
            ExitCode::from(FAILED)
        }
    }
}

fn done(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ilagent: {}", lines(&why));
            ExitCode::from(FAILED)
        }
    }
}

fn say(text: &str) {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    write(format!("{text}{end}").as_bytes());
}

/// Prints, and does not mind if the reader is gone, such as `head`; says whether it is there.
fn write(bytes: &[u8]) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// The names in a folder, in the order of their bytes.
fn list(folder: &Path) -> Result<Vec<String>, String> {
    let wrong = |error: io::Error| format!("cannot read {}: {error}", folder.display());
    let names = fs::read_dir(folder).map_err(wrong)?.map(|entry| {
        let name = entry?.file_name();
        Ok(name.to_string_lossy().into_owned())
    });
    let mut names = names.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    names.sort_unstable();
    Ok(names)
}

/// The text of a file; `None` when there is no such file.
fn read(path: &Path) -> Result<Option<String>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", path.display());
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error)),
    };
    let mut bytes = Vec::new();
    // One byte more, to notice a file that is too large instead of reading half of it.
    io::Read::read_to_end(&mut io::Read::take(file, FILE_BYTES_MAX + 1), &mut bytes)
        .map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(&format_args!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| wrong(&"it is not UTF-8"))
}
