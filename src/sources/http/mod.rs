//! Messages over HTTP. A listener has an address, bounds and the routes it answers; each kind of
//! client has a file with its routes.

#[cfg(feature = "kapacitor")]
pub mod basic_auth;
pub mod direct;
pub mod door;
pub mod ilert;
pub mod person;
#[cfg(feature = "kapacitor")]
pub mod points;
mod sockets;
pub(super) mod waiter;

pub use sockets::Sockets;

use crate::config;
use crate::system::http::{self, Limits, Request, Response, Routes, Serve};
use crate::system::services::Services;
use crate::system::stop::{self, Stopper};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long requests may take to finish at the stop.
const REQUESTS_END: Duration = Duration::from_millis(300);

/// The same at a reload, when new connections wait for the next configuration meanwhile.
const REQUESTS_END_RELOAD: Duration = Duration::from_secs(3);

/// A listener that is ready to start.
pub struct Listener {
    settings: config::Http,
    /// Largest head of a request, in bytes, unless it is the usual one.
    head_bytes_max: Option<usize>,
    routes: Vec<Arc<dyn Routes>>,
}

impl Listener {
    /// Answers `routes`, which are asked in order.
    #[must_use]
    pub fn new(settings: &config::Http, routes: Vec<Arc<dyn Routes>>) -> Self {
        Listener { settings: settings.clone(), head_bytes_max: None, routes }
    }

    /// The same with requests whose heads have other sizes.
    #[must_use]
    #[cfg(feature = "dapr")]
    pub fn with_heads(self, head_bytes_max: usize) -> Self {
        Listener { head_bytes_max: Some(head_bytes_max), ..self }
    }

    /// Listens on its socket in `sockets`, or binds one.
    ///
    /// # Errors
    ///
    /// Says in words why it cannot listen.
    pub fn start(self, services: &Services, sockets: &mut Sockets) -> Result<Running, String> {
        let Listener { settings, head_bytes_max, routes } = self;
        let socket = sockets.take(&settings)?;
        let mut bounds = Limits::new(settings.body_bytes_max, settings.connections_max);
        bounds.head_bytes_max = head_bytes_max.unwrap_or(bounds.head_bytes_max);
        let router = Arc::new(Router { routes, _here: services.here.clone() });
        let (open, stop) = stop::pair();
        let running =
            socket.start(bounds, router, &stop).map_err(|error| format!("http: {error}"))?;
        Ok(Running { settings, open, running })
    }
}

/// A listener at work.
pub struct Running {
    settings: config::Http,
    open: Stopper,
    running: http::Running,
}

impl Running {
    /// Ends it and puts its socket back into `sockets`. Requests that are cut off were not
    /// answered, so their clients send them again.
    pub fn join(self, is_reload: bool, sockets: &mut Sockets) {
        let Running { settings, open, mut running } = self;
        drop(open);
        if let Some(socket) = running.release() {
            sockets.put(&settings, socket);
        }
        let patience = if is_reload { REQUESTS_END_RELOAD } else { REQUESTS_END };
        let _ = running.stop(Instant::now() + patience);
    }
}

/// Everything that one listener answers. A path that none of its routes knows does not exist.
struct Router {
    routes: Vec<Arc<dyn Routes>>,
    _here: Stopper,
}

impl Serve for Router {
    fn door(&self, head: &Request) -> Option<Response> {
        self.routes.iter().find_map(|routes| routes.door(head))
    }

    fn is_probe(&self, head: &Request) -> bool {
        self.routes.iter().any(|routes| routes.is_probe(head))
    }

    fn answer(&self, request: &Request) -> Response {
        let answer = self.routes.iter().find_map(|routes| routes.answer(request));
        answer.unwrap_or_else(|| Response::empty(404))
    }

    fn refused(&self, status: u16, why: &str) -> Response {
        let answer = self.routes.iter().find_map(|routes| routes.refused(status, why));
        answer.unwrap_or_else(|| Response::text(status, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

    /// One path, which is answered with its name.
    struct Path(&'static str);

    impl Routes for Path {
        fn answer(&self, request: &Request) -> Option<Response> {
            (request.path == self.0).then(|| Response::text(200, self.0))
        }
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    #[test]
    fn each_listener_has_its_own_routes_and_its_own_end() {
        let services = Services::for_a_test();
        let mut sockets = Sockets::default();
        let mut bound = || {
            let socket = http::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
            let address = socket.address();
            let on_port = config::Http::on_port(address.port());
            let settings = config::Http { bind: address.ip(), ..on_port };
            sockets.put(&settings, socket);
            (settings, address)
        };
        let ((one, first), (other, second)) = (bound(), bound());
        let start = |settings: &config::Http, paths: &[&'static str], sockets: &mut Sockets| {
            let routes = paths.iter().map(|path| Arc::new(Path(path)) as Arc<dyn Routes>);
            Listener::new(settings, routes.collect()).start(&services, sockets).unwrap()
        };
        let at_one = start(&one, &["/write", "/both"], &mut sockets);
        let at_other = start(&other, &["/publish", "/both"], &mut sockets);
        for (path, at_first, at_second) in [
            ("/write", "200", "404"),
            ("/publish", "404", "200"),
            ("/both", "200", "200"),
            ("/neither", "404", "404"),
        ] {
            assert_eq!(get(first, path), at_first, "{path}");
            assert_eq!(get(second, path), at_second, "{path}");
        }
        at_one.join(false, &mut sockets);
        assert_eq!(get(second, "/publish"), "200", "the other one goes on");

        let again = start(&one, &["/again"], &mut sockets);
        assert_eq!(get(first, "/again"), "200", "on the socket that was given back");
        again.join(false, &mut sockets);
        at_other.join(false, &mut sockets);
    }
}
