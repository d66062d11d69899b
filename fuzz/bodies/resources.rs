//! Resources of a Dapr sidecar, in YAML.

use super::{SECRET, are_words, say_where};
use ilagent::cli::describe::describe;
use ilagent::cli::{self, Command};
use ilagent::config::{Checked, Place, Surroundings};

/// What an application is told to do, or faults with their places; no secret is shown in either.
pub fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let around = Surroundings {
        env: &|name| (name == "PASSWORD").then(|| SECRET.to_owned()),
        read: &|path| match path.to_str() {
            Some("res/a.yaml") => Ok(Some(text.to_owned())),
            Some("secrets.json") => Ok(Some(format!(r#"{{"a": {{"b": "{SECRET}"}}}}"#))),
            _ => Ok(None),
        },
        list: &|_| Ok(vec!["a.yaml".to_owned()]),
        is_open: &|_| true,
        has_kafka: false,
    };
    let words = ["daprd", "--app-id", "a", "--app-port", "1", "--resources-path", "res"];
    let Ok(Command::Daemon(asked)) = cli::read(words.map(Into::into)).map(|it| it.command) else {
        panic!("this is a command line of daprd");
    };
    match cli::daemon::configure(&asked, &around) {
        Ok(Checked { config, warnings }) => {
            warnings.iter().for_each(|warning| are_words(warning));
            assert!(!warnings.iter().any(|warning| warning.contains(SECRET)), "{warnings:?}");
            describe(&config).lines().for_each(are_words);
            let dapr = config.dapr.expect("there is a sidecar");
            for component in &dapr.components {
                let mut brokers = config.brokers.iter();
                assert!(brokers.any(|broker| broker.name == component.broker), "{component:?}");
            }
        }
        Err(faults) => {
            say_where(&faults, text);
            for fault in &faults.0 {
                assert!(matches!(fault.place, Place::File { .. }), "{fault}: no place");
            }
        }
    }
}
