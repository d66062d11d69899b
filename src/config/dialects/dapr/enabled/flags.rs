//! The flags of `daprd`. This is the one list of them: the command line is read with it, `--help` is
//! made of it, and the keys of `[dapr]` are the same.

/// A flag of `daprd`.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name, without dashes in front.
    pub name: &'static str,
    /// What its value is called; empty for one that may stand alone.
    pub value: &'static str,
    /// What becomes of it.
    pub used: Use,
}

/// What becomes of a flag.
#[derive(Clone, Copy, Debug)]
pub enum Use {
    /// It means this.
    For(&'static str),
    /// It is accepted and means nothing here.
    Nothing,
    /// It is refused, with these words.
    Refused(&'static str),
}

use Use::{For, Nothing, Refused};

const fn flag(name: &'static str, value: &'static str, used: Use) -> Flag {
    Flag { name, value, used }
}

/// Every flag, in the order of the help.
pub const FLAGS: &[Flag] = &[
    flag("app-id", "ID", For("the application's id (or APP_ID)")),
    flag("app-port", "PORT", For("where the application listens; without it, it only publishes")),
    flag("app-channel-address", "HOST", For("the application's host (127.0.0.1)")),
    flag("app-protocol", "NAME", For("http or https, whose certificate is not checked (http)")),
    flag("app-max-concurrency", "COUNT", For("most deliveries to it at a time (-1: 24)")),
    flag(
        "resources-path",
        "FOLDER",
        For("folders of components, subscriptions and policies in YAML; may be repeated"),
    ),
    flag("components-path", "FOLDER", For("the same")),
    flag("config", "FILE", For("a Configuration; what of it cannot be kept is refused")),
    flag("dapr-http-port", "PORT", For("where clients publish (3500)")),
    flag(
        "dapr-listen-addresses",
        "ADDRESSES",
        For("addresses to listen on, with commas between (127.0.0.1,[::1])"),
    ),
    flag("max-body-size", "SIZE", For("largest body of a request: 512Ki, 4Mi (4Mi)")),
    flag("read-buffer-size", "SIZE", For("largest head of a request (4Ki)")),
    flag("dapr-http-max-request-size", "MB", For("the largest body in MB")),
    flag("dapr-http-read-buffer-size", "KB", For("the largest head in KB")),
    flag("enable-app-health-check", "", For("ask the application if it is well")),
    flag("app-health-check-path", "PATH", For("where (/healthz)")),
    flag("app-health-probe-interval", "SECONDS", For("how often (5)")),
    flag("app-health-probe-timeout", "MILLISECONDS", For("longest time for an answer (500)")),
    flag("app-health-threshold", "COUNT", For("failures until it is not well (3)")),
    flag(
        "disable-init-endpoints",
        "NAMES",
        For("what it is not asked for: config, subscribe, with commas between"),
    ),
    flag("log-level", "LEVEL", For("debug, info, warn, error (info)")),
    flag("dapr-graceful-shutdown-seconds", "SECONDS", Nothing),
    flag("dapr-grpc-port", "PORT", Nothing),
    flag("dapr-internal-grpc-port", "PORT", Nothing),
    flag("dapr-internal-grpc-listen-address", "ADDRESS", Nothing),
    flag("dapr-public-port", "PORT", Nothing),
    flag("dapr-public-listen-address", "ADDRESS", Nothing),
    flag("dapr-block-shutdown-duration", "TIME", Nothing),
    flag("metrics-port", "PORT", Nothing),
    flag("metrics-listen-address", "ADDRESS", Nothing),
    flag("enable-metrics", "", Nothing),
    flag("mode", "standalone", Nothing),
    flag("placement-host-address", "ADDRESSES", Nothing),
    flag("scheduler-host-address", "ADDRESSES", Nothing),
    flag("sentry-address", "ADDRESS", Nothing),
    flag("control-plane-address", "ADDRESS", Nothing),
    flag("control-plane-namespace", "NAME", Nothing),
    flag("control-plane-trust-domain", "NAME", Nothing),
    flag("trust-anchors-file", "FILE", Nothing),
    flag("enable-profiling", "", Nothing),
    flag("profile-port", "PORT", Nothing),
    flag("profile-listen-address", "ADDRESS", Nothing),
    flag("enable-api-logging", "", Nothing),
    flag("allowed-origins", "ORIGINS", Nothing),
    flag("actors-service", "NAME", Nothing),
    flag("reminders-service", "NAME", Nothing),
    flag("enable-mtls", "", Refused("calls between sidecars are not offered")),
    flag("app-ssl", "", Refused("write `app-protocol` `https` instead")),
    flag("unix-domain-socket", "FOLDER", Refused("clients come over TCP; leave it out")),
    flag("log-as-json", "", Refused("the log is text; `ILAGENT_LOG` and the journal are offered")),
];
