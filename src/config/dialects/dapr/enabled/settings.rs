//! What flags and the environment say, one by one.

use super::flags::{FLAGS, Flag, Use};
use crate::config::dialects::dapr::Given;
use crate::config::values::{self, put};
use crate::config::{
    App, AppHealth, Faults, Http, Place, Secret, Surroundings, defaults, suggest, surroundings,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

/// Seconds between two questions to the application.
const INTERVALS: std::ops::RangeInclusive<u64> = 1..=86_400;
/// Milliseconds that its answer may take.
const ANSWERS: std::ops::RangeInclusive<u64> = 1..=86_400_000;
/// Failures until it is not well.
const FAILURES: std::ops::RangeInclusive<u64> = 1..=10_000;
/// Bytes of a request's head.
const HEAD_BYTES: std::ops::RangeInclusive<u64> = 1_024..=64 * 1_024;

/// Where Linux lists the addresses of IPv6.
const ADDRESSES: &str = "/proc/net/if_inet6";

/// What a sidecar is, before its folders are read.
pub(super) struct Settings {
    pub(super) app_id: String,
    pub(super) namespace: String,
    /// Whether resources of other namespaces are left out.
    pub(super) has_namespace: bool,
    pub(super) http: Vec<Http>,
    pub(super) head_bytes_max: usize,
    pub(super) app: Option<App>,
    pub(super) folders: Vec<(String, Place)>,
    pub(super) configuration: Option<(String, Place)>,
}

impl Settings {
    /// Reads them all.
    pub(super) fn read(
        given: &[Given],
        what: &'static str,
        around: &Surroundings<'_>,
        faults: &mut Faults,
    ) -> Self {
        let mut reading = Reading { given, what, around, faults };
        reading.known();
        reading.log_level();
        let app_id = reading.app_id();
        let namespace = around.variable("NAMESPACE");
        let mut folders = Vec::new();
        for name in ["resources-path", "components-path"] {
            for given in given.iter().filter(|given| given.name == name) {
                let all = given.value.split(',').map(str::trim).filter(|path| !path.is_empty());
                folders.extend(all.map(|path| (path.to_owned(), given.place.clone())));
            }
        }
        let (http, head_bytes_max) = reading.http();
        let configuration =
            reading.last("config").map(|given| (given.value.clone(), given.place.clone()));
        Settings {
            app_id,
            has_namespace: namespace.is_some(),
            namespace: namespace.unwrap_or_else(|| defaults::NAMESPACE.to_owned()),
            http,
            head_bytes_max,
            app: reading.app(),
            folders,
            configuration: configuration.filter(|(path, _)| !path.is_empty()),
        }
    }
}

struct Reading<'a> {
    given: &'a [Given],
    what: &'static str,
    around: &'a Surroundings<'a>,
    faults: &'a mut Faults,
}

impl<'a> Reading<'a> {
    /// The value that counts: the last one.
    fn last(&self, name: &str) -> Option<&'a Given> {
        self.given.iter().rfind(|given| given.name == name)
    }

    /// Reads a value, if there is one, or notes why it cannot be read.
    fn value(&mut self, name: &str, read: &mut dyn FnMut(&str) -> Result<(), String>) {
        if let Some(given) = self.last(name)
            && let Err(what) = read(given.value.trim())
        {
            self.faults.add(given.place.clone(), what);
        }
    }

    fn truth(&mut self, name: &str) -> bool {
        let mut truth = false;
        self.value(name, &mut |text| put(&mut truth, truth_of(text)));
        truth
    }

    /// Notes what is not known, and what is known and means nothing here.
    fn known(&mut self) {
        let mut idle = Vec::new();
        for given in self.given {
            let Given { name, value, place } = given;
            match FLAGS.iter().find(|flag| flag.name == name).map(|flag| flag.used) {
                Some(Use::For(_)) => (),
                Some(Use::Nothing)
                    if name == "mode" && !matches!(&value[..], "" | "standalone") =>
                {
                    self.faults.add(place.clone(), "only the mode `standalone` is offered");
                }
                Some(Use::Nothing) => idle.push(name.as_str()),
                Some(Use::Refused(_)) if value == "false" => (),
                Some(Use::Refused(why)) => {
                    self.faults.add(place.clone(), format!("this is not offered: {why}"));
                }
                None => self.faults.add(place.clone(), unknown(name, self.what)),
            }
        }
        idle.sort_unstable();
        idle.dedup();
        if !idle.is_empty() {
            log::info!("dapr: not used here: {}", idle.join(", "));
        }
    }

    /// How much is logged is the command line's to set, before anything is read.
    fn log_level(&mut self) {
        self.value("log-level", &mut |text| match text {
            "debug" | "info" | "warn" | "error" | "fatal" => Ok(()),
            _ => Err(format!("this is debug, info, warn or error, not `{text}`")),
        });
    }

    fn app_id(&mut self) -> String {
        let said = self.last("app-id").map(|given| (given.value.clone(), given.place.clone()));
        let found =
            said.or_else(|| self.around.variable("APP_ID").map(|id| (id, Place::from("APP_ID"))));
        let Some((id, place)) = found else {
            let how = if self.what == "daprd" { "--app-id" } else { "`app-id`" };
            self.faults.add(self.what, format!("{how} is missing; it names the application"));
            return String::new();
        };
        let id = id.trim().to_owned();
        if let Err(what) = values::line(&id) {
            self.faults.add(place, what);
        }
        id
    }

    /// The listeners, and the largest head of a request.
    fn http(&mut self) -> (Vec<Http>, usize) {
        let mut http = Http::for_dapr();
        self.value("dapr-http-port", &mut |text| {
            put(&mut http.port, values::port(text, values::LISTENING_PORTS))
        });
        self.value("dapr-http-max-request-size", &mut |text| {
            put(
                &mut http.body_bytes_max,
                values::size_usize(&format!("{text}M"), values::BODY_BYTES),
            )
        });
        self.value("max-body-size", &mut |text| {
            put(&mut http.body_bytes_max, quantity(text, &values::BODY_BYTES))
        });
        let mut head = defaults::DAPR_HEAD_BYTES_MAX;
        self.value("dapr-http-read-buffer-size", &mut |text| {
            put(&mut head, values::size_usize(&format!("{text}K"), HEAD_BYTES))
        });
        self.value("read-buffer-size", &mut |text| put(&mut head, quantity(text, &HEAD_BYTES)));
        http.token = self.token("DAPR_API_TOKEN");
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        addresses.extend(has_ipv6(self.around).then_some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        self.value("dapr-listen-addresses", &mut |text| {
            let all = text.split(',').map(str::trim).filter(|address| !address.is_empty());
            put(&mut addresses, all.map(values::ip).collect::<Result<Vec<_>, _>>())
        });
        let listener = |bind: &IpAddr| Http { bind: *bind, ..http.clone() };
        (addresses.iter().map(listener).collect(), head)
    }

    fn token(&mut self, variable: &str) -> Option<Secret> {
        let text = self.around.variable(variable)?;
        self.faults.keep(variable, surroundings::secret(&text))
    }

    fn app(&mut self) -> Option<App> {
        let mut port = None;
        self.value("app-port", &mut |text| match text {
            // As `dapr run` says that there is none.
            "" | "0" => Ok(()),
            _ => put(&mut port, values::port(text, values::PORTS)),
        });
        let mut app = App {
            host: defaults::APP_HOST.to_owned(),
            port: port.unwrap_or_default(),
            tls: false,
            token: self.token("APP_API_TOKEN"),
            in_flight_max: defaults::IN_FLIGHT_MAX,
            is_asked_config: true,
            is_asked_subscriptions: true,
            health: self.health(),
        };
        self.value("app-channel-address", &mut |text| {
            let address = values::address(text)?;
            if address.port.is_some() || address.scheme.is_some() {
                return Err(format!("`{text}` is not a host alone"));
            }
            app.host = address.host;
            Ok(())
        });
        self.value("app-protocol", &mut |text| put(&mut app.tls, is_https(text)));
        self.value("app-max-concurrency", &mut |text| match text {
            "-1" | "0" => Ok(()),
            _ => put(&mut app.in_flight_max, values::count_usize(text, values::IN_FLIGHT)),
        });
        self.value("disable-init-endpoints", &mut |text| {
            for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                match name {
                    "config" => app.is_asked_config = false,
                    "subscribe" => app.is_asked_subscriptions = false,
                    _ => return Err(format!("these are `config` and `subscribe`, not `{name}`")),
                }
            }
            Ok(())
        });
        port.map(|_| app)
    }

    fn health(&mut self) -> Option<AppHealth> {
        let is_enabled = self.truth("enable-app-health-check");
        let mut health = AppHealth {
            path: "/healthz".to_owned(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_millis(500),
            failures: 3,
        };
        self.value("app-health-check-path", &mut |text| {
            health.path = values::dapr::app_path(text);
            Ok(())
        });
        self.value("app-health-probe-interval", &mut |text| {
            let seconds = values::count(text, INTERVALS)?;
            health.interval = Duration::from_secs(seconds);
            Ok(())
        });
        self.value("app-health-probe-timeout", &mut |text| {
            let millis = values::count(text, ANSWERS)?;
            health.timeout = Duration::from_millis(millis);
            Ok(())
        });
        let (longest, timeout) = (health.interval, health.timeout);
        self.value("app-health-probe-timeout", &mut |_| match timeout <= longest {
            true => Ok(()),
            false => Err("an answer cannot take longer than the time between two questions, \
                          `app-health-probe-interval`"
                .to_owned()),
        });
        self.value("app-health-threshold", &mut |text| {
            put(&mut health.failures, values::count_u32(text, FAILURES))
        });
        is_enabled.then_some(health)
    }
}

/// Whether this machine can be reached over IPv6 from itself; a router may have none.
fn has_ipv6(around: &Surroundings<'_>) -> bool {
    let list = (around.read)(Path::new(ADDRESSES));
    let address = format!("{:032x} ", Ipv6Addr::LOCALHOST.to_bits());
    matches!(list, Ok(Some(list)) if list.lines().any(|line| line.starts_with(&address)))
}

fn unknown(name: &str, what: &str) -> String {
    let known = FLAGS.iter().map(|flag: &Flag| flag.name);
    let dashes = if what == "daprd" { "--" } else { "" };
    let hint = match suggest::nearest(name, known) {
        Some(meant) => format!("; did you mean `{dashes}{meant}`?"),
        None => String::new(),
    };
    match what {
        "daprd" => format!("there is no such flag{hint}"),
        _ => format!("there is no key `{name}` in {what}{hint}"),
    }
}

fn is_https(text: &str) -> Result<bool, String> {
    match text {
        "http" | "" => Ok(false),
        "https" => Ok(true),
        "grpc" | "grpcs" | "h2c" => Err(format!(
            "`{text}` is not offered, only `http` and `https`; the SDK has a server for HTTP, too"
        )),
        _ => Err(format!("this is `http` or `https`, not `{text}`")),
    }
}

/// `true` or `false` as Go writes them.
fn truth_of(text: &str) -> Result<bool, String> {
    match text {
        "" | "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("this is true or false, not `{text}`")),
    }
}

/// Bytes as Kubernetes writes them: `4Mi` is 4 × 1,024 × 1,024, `4M` is 4,000,000.
fn quantity(text: &str, range: &std::ops::RangeInclusive<u64>) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit {
        "" => Some(1),
        "k" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor);
    let bytes = bytes.and_then(|(number, factor)| number.checked_mul(factor));
    let Some(bytes) = bytes else {
        return Err(format!("`{text}` is not a size such as 65536, 512Ki or 4Mi"));
    };
    if !range.contains(&bytes) {
        let [least, most] = [range.start(), range.end()].map(|bytes| values::size_words(*bytes));
        return Err(format!("`{text}` is not between {least} and {most}"));
    }
    usize::try_from(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_listened_to_without_it() {
        for (list, wanted) in [
            (Ok(Some("00000000000000000000000000000001 01 80 10 80       lo\n")), true),
            (Ok(Some("fe80000000000000000000000000dead 02 40 20 80     eth0\n")), false),
            (Ok(None), false),
            (Err("no".to_owned()), false),
        ] {
            let around = Surroundings {
                env: &|_| None,
                read: &|_| list.clone().map(|text| text.map(str::to_owned)),
                list: &|_| Ok(Vec::new()),
                is_open: &|_| false,
                has_kafka: false,
            };
            assert_eq!(has_ipv6(&around), wanted, "{list:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_kubernetes() {
        let range = 1_000..=1 << 30;
        for (text, wanted) in [
            ("65536", Some(65_536)),
            ("512Ki", Some(524_288)),
            ("4Mi", Some(4_194_304)),
            ("4M", Some(4_000_000)),
            ("2k", Some(2_000)),
            ("1G", Some(1_000_000_000)),
            ("1Gi", Some(1 << 30)),
            ("4MB", None),
            ("2Gi", None),
            ("Mi", None),
            ("-1", None),
            ("99999999999G", None),
        ] {
            assert_eq!(quantity(text, &range).ok(), wanted, "{text}");
        }
    }
}
