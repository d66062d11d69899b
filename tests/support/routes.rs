//! Lines of a configuration with routes.

use super::broker::Broker;

/// A queue and a listener, as [`super::agent::Agent::by_file_alone`] wants them.
pub const HEAD: &str =
    "[queue]\npath = \"{database}\"\n[http]\nport = {port}\nbind = \"127.0.0.1\"\n";

/// A `[[mqtt]]` with lines of its own; its subscriptions follow.
pub fn broker(name: &str, broker: &Broker, lines: &str) -> String {
    let port = broker.port();
    format!("[[mqtt]]\nname = \"{name}\"\nurl = \"mqtt://127.0.0.1:{port}\"\n{lines}")
}

/// A subscription of the broker before it.
pub fn subscription(topic: &str, lines: &str) -> String {
    format!("[[mqtt.subscription]]\ntopic = \"{topic}\"\n{lines}")
}

/// A `[[webhook]]`.
pub fn webhook(name: &str, url: &str) -> String {
    format!("[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\n")
}
