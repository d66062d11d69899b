//! Service commissioning files of Connectware, in YAML, and messages for what they become.

use super::{SECRET, are_words, say_where};
use ilagent::cli::describe::describe;
use ilagent::cli::{self, Command};
use ilagent::config::{Checked, Config, Surroundings, Target};
use ilagent::mapping::shape::{Made, Now, Shapes};
use ilagent::message::{Desk, Message, Origin, Qos, Receipt};
use ilagent::topic;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time that something may wait for others.
const LATER: Duration = Duration::from_secs(86_400);

/// Brokers with rules, which take any message, or faults with their places.
pub fn files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let around = Surroundings {
        env: &|name| (name == "ILAGENT_PARAMETER_password").then(|| SECRET.to_owned()),
        read: &|path| Ok((path.to_str() == Some("a.yml")).then(|| text.to_owned())),
        list: &|_| Ok(Vec::new()),
        is_open: &|_| true,
        has_kafka: false,
    };
    let words = ["daemon", "--connectware", "a.yml", "--skip_unsupported"];
    let Ok(Command::Daemon(asked)) = cli::read(words.map(Into::into)).map(|it| it.command) else {
        panic!("this is a command line of ours");
    };
    match cli::daemon::configure(&asked, &around) {
        Ok(Checked { config, warnings }) => {
            warnings.iter().for_each(|warning| are_words(warning));
            describe(&config).lines().for_each(are_words);
            messages(&config);
        }
        Err(faults) => say_where(&faults, text),
    }
}

struct Nobody;

impl Desk for Nobody {
    fn signed(&self, _ticket: u64) {}
    fn room(&self) {}
}

/// Nothing that comes on a topic of a rule makes its steps panic, and nothing waits for ever.
fn messages(config: &Config) {
    let mut shapes = Shapes::new(config.rules());
    let now = Now { instant: Instant::now(), millis: 1_700_000_000_000 };
    let mut receipts = 0;
    for rule in config.rules() {
        let Target::Publish(to) = &rule.to else { continue };
        let topic = topic::unshared(&rule.filter).replace(['+', '#'], "x");
        for payload in ["", "\0\u{ff}{", "21.5", r#"{"value":[1,null,{"c":"ä"}]}"#] {
            let message = Message {
                topic: topic.clone(),
                payload: payload.as_bytes().to_vec(),
                origin: Origin::Mqtt,
                qos: Qos::AtLeastOnce,
                retain: false,
                retained: false,
            };
            let receipt = Receipt::new(Arc::new(Nobody), 0, 1);
            receipts += usize::from(to.shape.is_some());
            for done in shapes.feed(to, &rule.filter, &message, receipt, now) {
                receipts -= done.receipts.len();
                if let Made::Dead { reason, .. } = &done.made {
                    are_words(reason);
                }
            }
        }
    }
    let later = Now { instant: now.instant + LATER, ..now };
    let mut done = shapes.wake(later);
    done.extend(shapes.end(later));
    receipts -= done.iter().map(|done| done.receipts.len()).sum::<usize>();
    assert_eq!(receipts, 0, "each message ends somewhere");
}
