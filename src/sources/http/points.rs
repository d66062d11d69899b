//! Points in line protocol, as writers of InfluxDB and Kapacitor send them: `/write` and its
//! siblings, and what they ask before they write.

use super::basic_auth::BasicAuth;
use super::door::RETRY_AFTER;
use super::waiter::{self, NotSafe};
use crate::alerts::line::{Fault, Lines, Shelf};
use crate::alerts::{Name, Point};
use crate::config::Precision;
use crate::system::http::encoding::{self, Packed};
use crate::system::http::{Request, Response, Routes, form};
use crate::system::plain::plain;
use crate::watch::{Follows, Watch, now};
use log::{info, warn};
use serde_json::json;
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// How long what follows from points may take to be stored before the client is asked to send
/// them again. It is longer than the longest `hold`.
const STORE_MAX: Duration = Duration::from_secs(15);
/// Most lines of a request that are named because they cannot be read.
const FAULTS_MAX: usize = 10;
/// Most statements of one query.
const STATEMENTS_MAX: usize = 100;
/// The version of InfluxDB and Kapacitor whose writers we know. Some writers look at it.
const VERSION: &str = "1.8.3";

/// How a path is answered.
#[derive(Clone, Copy)]
enum Route {
    Ping,
    Query,
    Write(fn(&str) -> To<'_>),
}

/// Where points are written to, as the query says.
struct To<'q> {
    database: Cow<'q, str>,
    retention_policy: Cow<'q, str>,
    precision: Cow<'q, str>,
}

/// The routes of writers.
pub struct Points {
    watch: Arc<Watch>,
    auth: Arc<BasicAuth>,
    body_bytes_max: usize,
    /// Of points whose writer names none.
    retention_policy: String,
}

impl Routes for Points {
    fn door(&self, head: &Request) -> Option<Response> {
        match Route::of(head.path)? {
            Route::Ping => None,
            Route::Query | Route::Write(_) => self.auth.refusal(head),
        }
    }

    fn is_probe(&self, head: &Request) -> bool {
        matches!(Route::of(head.path), Some(Route::Ping))
    }

    /// Blocks until what follows from the points is stored.
    fn answer(&self, request: &Request) -> Option<Response> {
        let route = Route::of(request.path)?;
        if let Some(refusal) = self.door(request) {
            return Some(refusal);
        }
        let answer = match (route, request.method) {
            (Route::Ping, "GET" | "HEAD" | "POST") => Response::empty(204),
            (Route::Ping, _) => Response::method_not_allowed("GET, HEAD, POST"),
            (Route::Query, "GET" | "POST") => self.query(request),
            (Route::Query, _) => Response::method_not_allowed("GET, POST"),
            (Route::Write(to), "POST") => {
                let to = to(request.query);
                self.write(request, &to).map_or_else(|refusal| refusal, |()| Response::empty(204))
            }
            (Route::Write(_), _) => Response::method_not_allowed("POST"),
        };
        Some(answer.with("X-Influxdb-Version", VERSION).with("X-Kapacitor-Version", VERSION))
    }
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let below = |root| path.strip_prefix(root).filter(|rest| rest.starts_with('/'));
        let path = below("/kapacitor/v1").or_else(|| below("/kapacitor/v1preview")).unwrap_or(path);
        Some(match path {
            "/ping" => Route::Ping,
            "/write" => Route::Write(To::of_version_1),
            "/query" => Route::Query,
            "/api/v2/write" => Route::Write(To::of_version_2),
            "/api/v3/write_lp" => Route::Write(To::of_version_3),
            _ => return None,
        })
    }
}

impl To<'_> {
    /// `db`, `rp`, `precision`
    fn of_version_1(query: &str) -> To<'_> {
        let value = |name| form::value(query, name).unwrap_or_default();
        To { database: value("db"), retention_policy: value("rp"), precision: value("precision") }
    }

    /// A bucket is `database` or `database/policy`.
    fn of_version_2(query: &str) -> To<'_> {
        let bucket = form::value(query, "bucket").unwrap_or_default();
        let (database, policy) = bucket.split_once('/').unwrap_or((&bucket, ""));
        To {
            database: database.to_owned().into(),
            retention_policy: policy.to_owned().into(),
            precision: form::value(query, "precision").unwrap_or_default(),
        }
    }

    /// The precision is a word.
    fn of_version_3(query: &str) -> To<'_> {
        let to = To::of_version_1(query);
        let precision = match &*to.precision {
            "nanosecond" => "ns",
            "microsecond" => "us",
            "millisecond" => "ms",
            "second" => "s",
            _ => return to,
        };
        To { precision: precision.into(), ..to }
    }
}

impl Points {
    /// Feeds `watch`; points of writers that name no retention policy get this one.
    #[must_use]
    pub fn new(
        watch: Arc<Watch>,
        auth: Arc<BasicAuth>,
        body_bytes_max: usize,
        retention_policy: &str,
    ) -> Self {
        let retention_policy = retention_policy.to_owned();
        Points { watch, auth, body_bytes_max, retention_policy }
    }

    /// Takes all points of a request, or none.
    fn write(&self, request: &Request, to: &To<'_>) -> Result<(), Response> {
        let encoding = request.header("content-encoding");
        let body = encoding::unpacked(encoding, request.body, self.body_bytes_max);
        let body = body.map_err(cannot_unpack)?;
        let precision = Precision::of(&to.precision).map_err(|what| refused(400, &what))?;
        let points = self.points(&body, to, precision)?;
        if to.database.is_empty() {
            return Err(refused(400, "database is required"));
        }
        if points.is_empty() {
            return Ok(());
        }
        let feed = |receipts: &dyn Fn(usize) -> _| {
            let fed = self.watch.feed(&points, Some(receipts), None);
            fed.map(|follows| follows == Follows::Something).map_err(|refused| refused.error)
        };
        waiter::until_safe(feed, STORE_MAX).map_err(|not| not_safe(&not))
    }

    /// The points that a task wants. Every line is read.
    fn points(
        &self,
        body: &[u8],
        to: &To<'_>,
        precision: Precision,
    ) -> Result<Vec<Point>, Response> {
        thread_local! {
            static SHELF: RefCell<Shelf> = RefCell::default();
        }
        let policy = match &*to.retention_policy {
            "" => &self.retention_policy,
            said => said,
        };
        let all_wanted = self.watch.wanted();
        let wanted = all_wanted.in_database(&to.database, policy);
        let names: (Name, Name) = ((*to.database).into(), policy.into());
        let mut lines =
            Lines::new(body, precision).map_err(|fault| refused(400, &fault.to_string()))?;
        let (now, mut points, mut faults) = (now(), Vec::new(), Faults::default());
        SHELF.with_borrow_mut(|shelf| {
            while let Some(line) = lines.next() {
                match line {
                    Ok(line) if faults.count == 0 && wanted.has(&line.measurement()) => {
                        points.push(line.point((&names.0, &names.1), now, shelf));
                    }
                    Ok(_) => (),
                    Err(fault) => faults.add(&fault),
                }
            }
        });
        if faults.count == 0 { Ok(points) } else { Err(faults.answer()) }
    }

    /// Statements of InfluxQL. There is no database here, but writers want to make one.
    fn query(&self, request: &Request) -> Response {
        let body = std::str::from_utf8(request.body).unwrap_or_default();
        let said = form::value(request.query, "q").or_else(|| form::value(body, "q"));
        let Some(said) = said.filter(|said| !said.trim().is_empty()) else {
            return refused(400, "missing required parameter \"q\"");
        };
        let statements = said.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        let results = statements.take(STATEMENTS_MAX).enumerate();
        let results: Vec<_> = results.map(|(id, statement)| self.result(id, statement)).collect();
        Response::json(200, json!({ "results": results }).to_string())
    }

    fn result(&self, id: usize, statement: &str) -> serde_json::Value {
        let mut words = statement.split_ascii_whitespace().map(str::to_ascii_uppercase);
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (first.as_str(), second.as_str()) {
            ("CREATE" | "ALTER", "DATABASE" | "RETENTION") => json!({ "statement_id": id }),
            ("SHOW", "DATABASES") => {
                let wanted = self.watch.wanted();
                let names: Vec<_> = wanted.databases().into_iter().map(|name| [name]).collect();
                let series = json!({ "name": "databases", "columns": ["name"], "values": names });
                json!({ "statement_id": id, "series": [series] })
            }
            ("SHOW", _) => json!({ "statement_id": id }),
            _ => {
                json!({ "statement_id": id, "error": "points are not stored here: there is nothing to query" })
            }
        }
    }
}

/// The lines of a request that cannot be read.
#[derive(Default)]
struct Faults {
    words: Vec<String>,
    count: usize,
}

impl Faults {
    fn add(&mut self, fault: &Fault) {
        self.count += 1;
        if self.count <= FAULTS_MAX {
            self.words.push(fault.to_string());
        }
    }

    fn answer(mut self) -> Response {
        info!("http: refused points: {}", plain(&self.words[0]));
        if self.count > FAULTS_MAX {
            self.words.push(format!("and {} more lines", self.count - FAULTS_MAX));
        }
        refused(400, &self.words.join("\n"))
    }
}

fn cannot_unpack(why: Packed) -> Response {
    match why {
        Packed::Broken => refused(400, "the body is not what its Content-Encoding says"),
        Packed::TooLarge => refused(413, "the request body is too large"),
        Packed::Unknown => {
            let what = "send it plain, or with \"Content-Encoding: gzip\" or \"deflate\"";
            refused(415, what).with("Accept-Encoding", encoding::KNOWN)
        }
    }
}

fn not_safe(not: &NotSafe) -> Response {
    let why = match not {
        NotSafe::InTime => "not stored in time; alerts of these points may still be delivered",
        NotSafe::Refused(error) => waiter::words(error),
    };
    warn!("http: points were not taken: {why}");
    refused(503, why).with("Retry-After", RETRY_AFTER)
}

/// An answer that says why not, as clients of Kapacitor read it.
fn refused(status: u16, why: &str) -> Response {
    Response::json(status, json!({ "error": why, "message": why }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::system::http::Header;
    use crate::watch::testing::Rig;

    /// Answers of the routes to one request after the other.
    struct Routed {
        rig: Rig,
        points: Points,
    }

    impl Routed {
        fn new(name: &str, users: &[(&str, &str)]) -> Self {
            let rig = Rig::new(name, "cpu");
            let user =
                |(name, password): &(&str, &str)| (String::from(*name), Secret::new(*password));
            let auth = BasicAuth::new(users.iter().map(user).collect());
            let points = Points::new(Arc::clone(&rig.watch), Arc::new(auth), 1_000, "");
            Routed { rig, points }
        }

        fn ask(
            &self,
            method: &str,
            target: &str,
            headers: &[(&str, &str)],
            body: &[u8],
        ) -> (u16, String) {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| Header { name, value: value.as_bytes() })
                .collect();
            let request = Request { method, path, query, headers: &headers, body };
            let response = self.points.answer(&request).unwrap();
            let has_version =
                response.headers.iter().any(|(name, _)| *name == "X-Influxdb-Version");
            assert_eq!(has_version, response.status != 401);
            (response.status, String::from_utf8(response.body).unwrap())
        }

        fn write(&self, target: &str, body: &str) -> (u16, String) {
            self.ask("POST", target, &[], body.as_bytes())
        }
    }

    fn words(status: u16, why: &str) -> (u16, String) {
        (status, json!({ "error": why, "message": why }).to_string())
    }

    #[test]
    fn points_reach_the_tasks_on_every_path_that_writers_know() {
        let routed = Routed::new("write", &[]);
        let done = (204, String::new());
        for (number, target) in [
            "/write?db=telegraf",
            "/write?db=telegraf&rp=autogen&precision=n&consistency=any",
            "/kapacitor/v1/write?db=telegraf&precision=ns",
            "/kapacitor/v1preview/write?rp=autogen&db=telegraf",
            "/api/v2/write?org=x&bucket=telegraf&precision=ns",
            "/api/v2/write?org=x&bucket=telegraf%2Fautogen",
            "/api/v3/write_lp?db=telegraf&precision=nanosecond&accept_partial=true",
        ]
        .into_iter()
        .enumerate()
        {
            let line = format!("mem v=1\ncpu,host=a idle={number} 1714979289120000000\r\n");
            assert_eq!(routed.write(target, &line), done, "{target}");
            let shown = routed.rig.last();
            assert!(shown.contains(&format!(r#""2024-05-06T07:08:09.12Z",{number}]"#)), "{shown}");
        }
        for (precision, time) in [("s", "1"), ("ms", "1000"), ("u", "1000000"), ("h", "0")] {
            let target = format!("/write?db=telegraf&precision={precision}");
            assert_eq!(routed.write(&target, &format!("cpu v=1 {time}")), done);
            let wanted =
                if precision == "h" { "1970-01-01T00:00:00Z" } else { "1970-01-01T00:00:01Z" };
            assert!(routed.rig.last().contains(wanted), "{precision} {}", routed.rig.last());
        }
        assert_eq!(routed.write("/write?db=telegraf", ""), done);
        assert_eq!(routed.write("/write?db=other", "cpu v=17 1"), done);
        assert_eq!(routed.write("/write?db=telegraf&rp=other", "cpu v=17 1"), done);
        assert!(!routed.rig.last().contains("17"), "{}", routed.rig.last());
    }

    #[test]
    fn nothing_of_a_request_with_a_fault_is_used() {
        let routed = Routed::new("faults", &[]);
        for (target, body, wanted) in [
            ("/write", "cpu v=1 1", words(400, "database is required")),
            ("/write", "cpu v", words(400, "unable to parse 'cpu v': invalid field format")),
            (
                "/write?db=telegraf",
                "cpu v=1 1\ncpu v=x\ncpu,a=b\ncpu v=2 2",
                words(
                    400,
                    "unable to parse 'cpu v=x': invalid boolean\nunable to parse 'cpu,a=b': missing fields",
                ),
            ),
            (
                "/write?db=telegraf&precision=d",
                "cpu v=1 1",
                words(400, "invalid precision \"d\" (use n, u, ms, s, m or h)"),
            ),
        ] {
            assert_eq!(routed.write(target, body), wanted, "{target} {body}");
        }
        let (status, why) = routed.write("/write?db=telegraf", &"x\n".repeat(30));
        assert_eq!(status, 400);
        assert!(why.contains("and 20 more lines"), "{why}");
        assert_eq!(routed.rig.last(), r#"{"series":[]}"#);
        let packed = |encoding| {
            routed
                .ask("POST", "/write?db=telegraf", &[("Content-Encoding", encoding)], b"cpu v=1")
                .0
        };
        assert_eq!((packed("gzip"), packed("br"), packed("identity")), (400, 415, 204));
        for (method, target) in [("GET", "/write"), ("DELETE", "/query"), ("PUT", "/ping")] {
            assert_eq!(routed.ask(method, target, &[], b"").0, 405, "{method} {target}");
        }
    }

    #[test]
    fn what_writers_ask_before_they_write_is_answered() {
        let routed = Routed::new("asked", &[]);
        for (method, target) in
            [("GET", "/ping"), ("HEAD", "/ping?wait_for_leader=1s"), ("GET", "/kapacitor/v1/ping")]
        {
            assert_eq!(routed.ask(method, target, &[], b""), (204, String::new()), "{target}");
        }
        let ok = r#"{"results":[{"statement_id":0}]}"#;
        let databases = r#"{"results":[{"series":[{"columns":["name"],"name":"databases","values":[["telegraf"]]}],"statement_id":0}]}"#;
        let none = r#"{"results":[{"error":"points are not stored here: there is nothing to query","statement_id":0}]}"#;
        for (target, body, wanted) in [
            ("/query?q=CREATE+DATABASE+%22telegraf%22", "", ok),
            ("/query", "q=CREATE+DATABASE+%22telegraf%22", ok),
            ("/query", "q=create%20retention%20policy%20x", ok),
            ("/query?q=show+databases%3B", "", databases),
            ("/query?q=SHOW+RETENTION+POLICIES", "", ok),
            ("/query?q=SELECT+*+FROM+cpu&db=x", "", none),
            ("/query?q=DROP+DATABASE+x", "", none),
        ] {
            assert_eq!(routed.write(target, body), (200, wanted.to_owned()), "{target} {body}");
        }
        assert_eq!(routed.write("/query", ""), words(400, "missing required parameter \"q\""));
    }

    #[test]
    fn a_stranger_may_ask_if_somebody_is_there_and_nothing_else() {
        let routed = Routed::new("users", &[("telegraf", "open")]);
        for (target, status) in [
            ("/ping", 204),
            ("/write?db=telegraf", 401),
            ("/query?q=SHOW+DATABASES", 401),
            ("/write?db=telegraf&u=telegraf&p=open", 204),
            ("/query?q=SHOW+DATABASES&u=telegraf&p=open", 200),
        ] {
            assert_eq!(routed.write(target, "cpu v=1").0, status, "{target}");
        }
    }

    #[test]
    fn other_paths_are_for_others() {
        let routed = Routed::new("others", &[]);
        for path in ["/", "/writes", "/kapacitor/v1", "/kapacitor/v1/tasks", "/kapacitor/v1write"] {
            let request = Request { method: "POST", path, query: "", headers: &[], body: b"" };
            assert_eq!(routed.points.answer(&request), None, "{path}");
        }
    }
}
