//! From a host name to a connected socket, in the manner of RFC 8305.
//!
//! Some addresses of a name may lead nowhere: IPv6 behind a half-configured access line is the
//! usual case. So we try the next address while the previous one has not answered yet, and take the
//! first that answers. The one that worked last is tried first the next time.

use crate::system::threads;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an address has to itself before we also try the next one.
const HEAD_START: Duration = Duration::from_millis(250);

/// No address gets less time than this, unless there is less in all.
const SHARE_MIN: Duration = Duration::from_secs(1);

/// Most addresses of a name to try, and so most sockets at a time.
const ADDRESSES_MAX: usize = 16;

/// Most addresses that are remembered.
const REMEMBERED_MAX: usize = 32;

/// A connection that took this long is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The result of a connection attempt.
const EVENTS_MAX: usize = 4;

/// A look-up of a name, on its own thread because the system's cannot be interrupted.
#[derive(Clone, Debug)]
pub struct LookUp(Arc<Answer>);

#[derive(Debug, Default)]
struct Answer {
    found: Mutex<Option<Result<Vec<SocketAddr>, String>>>,
    is_there: Condvar,
}

impl LookUp {
    /// Starts one, and rings when it is done.
    ///
    /// # Errors
    ///
    /// Fails if there is no thread for it.
    pub fn start(
        host: &str,
        port: u16,
        ring: impl FnOnce() + Send + 'static,
    ) -> Result<Self, String> {
        let look_up = LookUp(Arc::default());
        let (there, asked) = (Arc::clone(&look_up.0), host.to_owned());
        threads::spawn(&format!("dns {host}"), move || {
            let found = (asked.as_str(), port).to_socket_addrs();
            let found = found
                .map(Iterator::collect)
                .map_err(|error| format!("cannot find the address of {asked}: {error}"));
            *there.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
            there.is_there.notify_all();
            ring();
        })
        .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(look_up)
    }

    /// The addresses, if it is done.
    #[must_use]
    pub fn found(&self) -> Option<Result<Vec<SocketAddr>, String>> {
        self.answer().clone()
    }

    /// The addresses, if it is done before `until`.
    #[must_use]
    pub fn wait(&self, until: Instant) -> Option<Result<Vec<SocketAddr>, String>> {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.0.is_there.wait_timeout_while(self.answer(), left, |it| it.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn answer(&self) -> MutexGuard<'_, Option<Result<Vec<SocketAddr>, String>>> {
        self.0.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What earlier connections taught.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Lessons>);

#[derive(Debug, Default)]
struct Lessons {
    /// Addresses that answered, the last one first.
    worked: VecDeque<SocketAddr>,
    /// Addresses that answered and then failed; the last one last.
    doubted: VecDeque<SocketAddr>,
    /// Addresses that the log has mentioned.
    told: VecDeque<SocketAddr>,
    latest: Option<SocketAddr>,
}

impl Memory {
    /// The last connection led to nothing (one of several servers is broken, perhaps). Another
    /// address comes first the next time.
    pub fn doubt_latest(&self) {
        let mut lessons = self.lessons();
        if let Some(address) = lessons.latest.take() {
            lessons.worked.retain(|known| *known != address);
            remember(&mut lessons.doubted, address);
        }
    }

    /// The order in which to try addresses: those that worked, then the families in turn, then the
    /// doubtful ones.
    fn order(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let lessons = self.lessons();
        let known = |list: &VecDeque<SocketAddr>| -> Vec<SocketAddr> {
            list.iter().filter(|known| addresses.contains(known)).copied().collect()
        };
        let (mut ordered, doubted) = (known(&lessons.worked), known(&lessons.doubted));
        let is_new =
            |address: &&SocketAddr| !ordered.contains(address) && !doubted.contains(address);
        let (mut one, mut other): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) = addresses
            .iter()
            .filter(is_new)
            .partition(|address| address.is_ipv6() == addresses[0].is_ipv6());
        if ordered.last().is_some_and(|last| last.is_ipv6() == addresses[0].is_ipv6()) {
            (one, other) = (other, one);
        }
        while let Some(next) = one.pop_front() {
            ordered.push(next);
            if !other.is_empty() {
                (one, other) = (other, one);
            }
        }
        ordered.extend(other);
        ordered.extend(doubted);
        let mut seen = Vec::new();
        ordered.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        ordered.truncate(ADDRESSES_MAX);
        ordered
    }

    /// Notes a connection. Returns a line for the log, once for each address that was slow or
    /// silent.
    fn connected(&self, host: &str, made: &Connected) -> Option<String> {
        let mut lessons = self.lessons();
        let Lessons { worked, doubted, told, latest } = &mut *lessons;
        let address = made.address;
        doubted.retain(|known| *known != address);
        worked.retain(|known| *known != address);
        worked.push_front(address);
        worked.truncate(REMEMBERED_MAX);
        *latest = Some(address);
        let seconds = made.took.as_secs_f32();
        let (slow, words) = if made.silent.is_empty() {
            let slow = (made.took >= SLOW).then_some(address);
            (Vec::from_iter(slow), format!("{address} took {seconds:.1} s to answer"))
        } else {
            let mut words = listed(made.silent.iter());
            let _ = write!(
                words,
                " did not answer; {address} did after {seconds:.1} s and is tried first from now on"
            );
            (made.silent.clone(), words)
        };
        let is_news = slow.iter().any(|address| !told.contains(address));
        slow.into_iter().for_each(|address| remember(told, address));
        is_news.then(|| format!("connecting to {host}: {words}"))
    }

    fn lessons(&self) -> MutexGuard<'_, Lessons> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(list: &mut VecDeque<SocketAddr>, address: SocketAddr) {
    list.retain(|known| *known != address);
    list.push_back(address);
    if list.len() > REMEMBERED_MAX {
        list.pop_front();
    }
}

fn listed<T: ToString>(words: impl Iterator<Item = T>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

/// A connection that has been made.
#[derive(Debug)]
struct Connected {
    stream: TcpStream,
    address: SocketAddr,
    /// What was tried before, and has not answered yet.
    silent: Vec<SocketAddr>,
    took: Duration,
}

/// The state of a race.
#[derive(Debug)]
pub enum Step {
    /// The first address has answered.
    Connected(TcpStream, SocketAddr),
    /// Look again when a socket becomes writable, or at this moment.
    Wait(Instant),
    /// No address answered; in words.
    Failed(String),
}

/// Tries the addresses of one host side by side. It does not sleep: its owner does, and then takes
/// the next [`Race::step`].
#[derive(Debug)]
pub struct Race<'a> {
    host: &'a str,
    memory: &'a Memory,
    waiting: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, TcpStream)>,
    failed: Vec<String>,
    began: Instant,
    next_at: Instant,
    head_start: Duration,
    deadline: Instant,
}

impl<'a> Race<'a> {
    /// Tries nothing yet. `host` is for the log.
    #[must_use]
    pub fn new(
        host: &'a str,
        addresses: &[SocketAddr],
        memory: &'a Memory,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let waiting: VecDeque<SocketAddr> = match addresses {
            [] => VecDeque::new(),
            some => memory.order(some).into(),
        };
        let others = u32::try_from(waiting.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let spare = deadline.saturating_duration_since(now).saturating_sub(SHARE_MIN);
        Race {
            host,
            memory,
            waiting,
            running: Vec::new(),
            failed: Vec::new(),
            began: now,
            next_at: now,
            head_start: HEAD_START.min(spare / others),
            deadline,
        }
    }

    /// Checks attempts under way and starts those that are due; `watch` makes a ready socket wake
    /// the owner.
    ///
    /// # Errors
    ///
    /// Those of `watch`.
    pub fn step(
        &mut self,
        now: Instant,
        watch: &mut dyn FnMut(&mut TcpStream) -> io::Result<()>,
    ) -> io::Result<Step> {
        let before = self.running.len();
        let mut at = 0;
        while let Some((address, stream)) = self.running.get(at) {
            match is_connected(stream) {
                Ok(false) => at += 1,
                Ok(true) => return Ok(self.won(at, now)),
                Err(error) => {
                    self.failed.push(format!("{address}: {error}"));
                    self.running.remove(at);
                }
            }
        }
        // A failed attempt makes room for the next one at once.
        if self.running.len() < before {
            self.next_at = now;
        }
        while self.next_at <= now
            && let Some(address) = self.waiting.pop_front()
        {
            match TcpStream::connect(address) {
                Ok(mut stream) => {
                    watch(&mut stream)?;
                    self.running.push((address, stream));
                    self.next_at = now + self.head_start;
                }
                Err(error) => self.failed.push(format!("{address}: {error}")),
            }
        }
        if self.running.is_empty() && self.waiting.is_empty() || self.deadline <= now {
            return Ok(Step::Failed(self.words()));
        }
        let next = if self.waiting.is_empty() { self.deadline } else { self.next_at };
        Ok(Step::Wait(next.min(self.deadline)))
    }

    fn won(&mut self, at: usize, now: Instant) -> Step {
        let (address, stream) = self.running.swap_remove(at);
        let silent = self.running.drain(..).map(|(address, _)| address).collect();
        let took = now.saturating_duration_since(self.began);
        let made = Connected { stream, address, silent, took };
        if let Some(words) = self.memory.connected(self.host, &made) {
            log::warn!("dial: {words}");
        }
        Step::Connected(made.stream, address)
    }

    fn words(&self) -> String {
        let silent = self.running.iter().map(|(address, _)| format!("{address}: no answer"));
        let mut all: Vec<String> = self.failed.iter().cloned().chain(silent).collect();
        // Sorted, so that the same trouble always has the same words.
        all.sort_unstable();
        match all.is_empty() {
            true => format!("cannot connect to {}: it has no address", self.host),
            false => format!("cannot connect to {}: {}", self.host, all.join("; ")),
        }
    }
}

fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Connects to the first of the addresses that answers, and blocks until then.
///
/// # Errors
///
/// Says which addresses did not answer, and why.
pub fn connect(
    host: &str,
    addresses: &[SocketAddr],
    memory: &Memory,
    deadline: Instant,
) -> io::Result<std::net::TcpStream> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut race = Race::new(host, addresses, memory, Instant::now(), deadline);
    loop {
        let registry = poll.registry();
        let mut watch =
            |stream: &mut TcpStream| registry.register(stream, Token(0), Interest::WRITABLE);
        let until = match race.step(Instant::now(), &mut watch)? {
            Step::Connected(mut stream, _) => {
                registry.deregister(&mut stream)?;
                let stream = std::net::TcpStream::from(stream);
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Step::Wait(until) => until,
            Step::Failed(words) => return Err(io::Error::other(words)),
        };
        match poll.poll(&mut events, Some(until.saturating_duration_since(Instant::now()))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            polled => polled?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn addresses(words: &[&str]) -> Vec<SocketAddr> {
        words.iter().map(|word| word.parse().unwrap()).collect()
    }

    fn order(memory: &Memory, words: &[&str]) -> Vec<String> {
        memory.order(&addresses(words)).iter().map(ToString::to_string).collect()
    }

    fn connected(memory: &Memory, address: &str, silent: &[&str], took: u64) -> Option<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let made = Connected {
            stream: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
            address: address.parse().unwrap(),
            silent: addresses(silent),
            took: Duration::from_millis(took),
        };
        memory.connected("api", &made)
    }

    #[test]
    fn families_take_turns_and_what_worked_comes_first() {
        const ALL: [&str; 5] = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"];
        let memory = Memory::default();
        let turns = ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"];
        assert_eq!(order(&memory, &ALL), turns);
        assert_eq!(order(&memory, &["[::1]:1", "[::1]:1"]), ["[::1]:1"]);
        assert_eq!(order(&memory, &["1.0.0.1:1", "[::1]:1"]), ["1.0.0.1:1", "[::1]:1"]);
        connected(&memory, "1.0.0.2:1", &[], 0);
        let turns = ["1.0.0.2:1", "[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"];
        assert_eq!(order(&memory, &ALL), turns);
        assert_eq!(order(&memory, &["[::1]:1", "[::2]:1"]), ["[::1]:1", "[::2]:1"], "another host");
        let many: Vec<String> = (1..=40).map(|port| format!("1.0.0.1:{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(order(&memory, &many).len(), ADDRESSES_MAX);
    }

    #[test]
    fn an_address_that_answers_and_is_of_no_use_goes_to_the_end() {
        let memory = Memory::default();
        for (latest, wanted) in
            [("1.0.0.1:1", ["1.0.0.2:1", "1.0.0.1:1"]), ("1.0.0.2:1", ["1.0.0.1:1", "1.0.0.2:1"])]
        {
            connected(&memory, latest, &[], 0);
            memory.doubt_latest();
            memory.doubt_latest();
            assert_eq!(order(&memory, &["1.0.0.1:1", "1.0.0.2:1"]), wanted);
        }
    }

    #[test]
    fn a_slow_connection_is_told_once() {
        let memory = Memory::default();
        assert_eq!(connected(&memory, "1.0.0.1:1", &[], 999), None);
        let words = connected(&memory, "1.0.0.1:1", &["[::1]:1", "[::2]:1"], 312).unwrap();
        let wanted = "connecting to api: [::1]:1, [::2]:1 did not answer; 1.0.0.1:1 did after 0.3 s \
                      and is tried first from now on";
        assert_eq!(words, wanted);
        assert_eq!(connected(&memory, "1.0.0.1:1", &["[::1]:1"], 312), None);
        let words = connected(&memory, "1.0.0.1:1", &[], 2_000).unwrap();
        assert_eq!(words, "connecting to api: 1.0.0.1:1 took 2.0 s to answer");
        assert_eq!(connected(&memory, "1.0.0.1:1", &[], 3_000), None);
    }

    #[test]
    fn every_address_has_its_share_of_the_time() {
        let (now, memory) = (Instant::now(), Memory::default());
        let eight: Vec<SocketAddr> =
            (1..=8).map(|last| SocketAddr::from(([127, 0, 0, last], 1))).collect();
        for (limit, head_start) in [(10_000, 250), (2_750, 250), (1_700, 100), (900, 0)] {
            let deadline = now + Duration::from_millis(limit);
            let race = Race::new("api", &eight, &memory, now, deadline);
            assert_eq!(race.head_start, Duration::from_millis(head_start), "{limit}");
        }
    }

    #[test]
    fn what_refuses_makes_room_at_once_and_all_of_it_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusing: Vec<SocketAddr> =
            (2..=9).map(|last| SocketAddr::from(([127, 0, 0, last], port))).collect();
        let memory = Memory::default();
        let deadline = Instant::now() + Duration::from_secs(60);
        let failed = connect("api", &refusing[..2], &memory, deadline).unwrap_err().to_string();
        for address in ["127.0.0.2", "127.0.0.3"] {
            assert!(failed.contains(&format!("{address}:{port}: Connection refused")), "{failed}");
        }
        let mut all = refusing;
        all.push(listener.local_addr().unwrap());
        let began = Instant::now();
        let stream = connect("api", &all, &memory, deadline).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(began.elapsed() < 8 * HEAD_START, "none of the eight is waited for");
        assert_eq!(memory.order(&all)[0], listener.local_addr().unwrap());
        let none = connect("api", &[], &memory, deadline).unwrap_err().to_string();
        assert_eq!(none, "cannot connect to api: it has no address");
    }

    #[test]
    fn a_name_is_looked_up_once_for_all_who_wait() {
        let (tell, told) = crossbeam_channel::bounded(1);
        let ring = move || {
            let _ = tell.send(());
        };
        let look_up = LookUp::start("127.0.0.1", 7, ring).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(look_up.clone().wait(until), Some(Ok(addresses(&["127.0.0.1:7"]))));
        told.recv().unwrap();
        assert_eq!(look_up.found(), Some(Ok(addresses(&["127.0.0.1:7"]))));
        let look_up = LookUp::start("no such name", 7, || ()).unwrap();
        let words = look_up.wait(until).unwrap().unwrap_err();
        assert!(words.starts_with("cannot find the address of no such name: "), "{words}");
    }
}
