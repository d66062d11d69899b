//! The way to the API: proxies and certificates of the environment are used, or they are faults;
//! never the direct way instead.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use support::Folder;
use support::agent::under_test;
use support::stand_in::StandIn;

/// A proxy as squid is one, of which only CONNECT is asked here.
struct Proxy {
    address: SocketAddr,
    tunnels: Arc<AtomicUsize>,
    /// The head of the last request.
    head: Arc<Mutex<String>>,
}

impl Proxy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            tunnels: Arc::default(),
            head: Arc::default(),
        };
        let (tunnels, head) = (Arc::clone(&proxy.tunnels), Arc::clone(&proxy.head));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tunnels, head) = (Arc::clone(&tunnels), Arc::clone(&head));
                thread::spawn(move || {
                    let _ = tunnel(&stream, &tunnels, &head);
                });
            }
        });
        proxy
    }

    fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }
}

fn tunnel(client: &TcpStream, tunnels: &AtomicUsize, told: &Mutex<String>) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    *told.lock().unwrap() = head;
    let server = TcpStream::connect(target)?;
    let mut writer = client;
    writer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    tunnels.fetch_add(1, Ordering::Relaxed);
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(Shutdown::Both);
    Ok(())
}

/// The agent, without what the machine that runs the tests has set.
fn ilagent(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = under_test();
    for name in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "RUST_LOG", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    command
}

/// Pings once; the exit code and what was said.
fn ping(api: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = ilagent(&["heartbeat", "-k", "il1hbtTEST"], variables);
    let output = command.env("ILERT_API_HOST", api).env("ILERT_HBT_HOST", api).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_proxy_is_used_and_what_needs_none_is_reached_directly() {
    let (api, proxy) = (StandIn::new(), Proxy::new());
    let url = format!("http://me:hush@{}", proxy.address);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        let before = proxy.tunnels();
        let (code, said) = ping(&api.url(), &[(variable, &url)]);
        assert_eq!(code, Some(0), "{variable}: {said}");
        assert_eq!(proxy.tunnels(), before + 1, "{variable}");
    }
    let basic = "Proxy-Authorization: Basic bWU6aHVzaA==";
    assert!(proxy.head.lock().unwrap().contains(basic));
    let (before, answered) = (proxy.tunnels(), api.count());
    let dead = ("ALL_PROXY", "socks5://127.0.0.1:9");
    for list in ["localhost, 127.0.0.1", "127.0.0.0/8", "*"] {
        let (code, said) = ping(&api.url(), &[dead, ("http_proxy", &url), ("NO_PROXY", list)]);
        assert_eq!(code, Some(0), "{list}: {said}");
    }
    assert_eq!((proxy.tunnels(), api.count()), (before, answered + 3));
    assert_eq!(ping(&api.url(), &[dead, ("http_proxy", &url)]).0, Some(0));
    assert_eq!(proxy.tunnels(), before + 1, "the special variable wins");
}

#[test]
fn a_proxy_that_cannot_be_used_is_never_gone_around() {
    let api = StandIn::new();
    for (variable, url) in [
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:9"),
        ("http_proxy", "socks4://127.0.0.1:9"),
        ("ALL_PROXY", "socks5h://127.0.0.1:9"),
        ("http_proxy", "ftp://127.0.0.1:9"),
        ("HTTP_PROXY", "http://127.0.0.1:99999"),
    ] {
        let (code, said) = ping(&api.url(), &[(variable, url)]);
        assert_eq!(code, Some(1), "{variable}={url}");
        assert!(said.contains(&format!("the proxy in {variable} cannot be used")), "{said}");
        for command in ["daemon", "check"] {
            let mut command = ilagent(&[command, "-p", "0"], &[(variable, url)]);
            let output = command.env("ILERT_API_HOST", api.url()).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && said.contains(variable), "{said}");
        }
    }
    let (code, said) = ping(&api.url(), &[("ALL_PROXY", "http://127.0.0.1:9")]);
    assert_eq!(code, Some(1));
    assert!(said.contains("refused"), "{said}");
    // A proxy that speaks TLS, and an API that does not.
    let proxy = Proxy::new();
    let (code, said) = ping(&api.url(), &[("ALL_PROXY", &format!("https://{}", proxy.address))]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(api.count(), 0);
}

#[test]
fn check_says_which_way_is_taken() {
    let api = StandIn::new();
    let said = |variables: &[(&str, &str)]| {
        let mut command = ilagent(&["check", "-p", "8977"], variables);
        let output = command.env("ILERT_API_HOST", api.url()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said(&[]).contains("  reached directly\n"));
    let proxy = ("http_proxy", "http://me:hush@proxy.example:3128");
    let text = said(&[proxy]);
    let wanted = "  reached through the proxy http://proxy.example:3128 (http_proxy)\n";
    assert!(text.contains(wanted) && !text.contains("hush"), "{text}");
    let text = said(&[proxy, ("NO_PROXY", "127.0.0.1")]);
    let wanted = "  https://beat.ilert.com is reached through the proxy";
    assert!(text.contains("  reached directly\n") && text.contains(wanted), "{text}");
}

#[test]
fn certificates_that_cannot_be_used_are_never_replaced_by_others() {
    let folder = Folder::new();
    let empty = folder.join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (empty, missing) = (empty.display().to_string(), folder.join("none").display().to_string());
    let api = "https://127.0.0.1:9";
    for (variable, path) in [
        ("SSL_CERT_FILE", &empty),
        ("SSL_CERT_FILE", &missing),
        ("SSL_CERT_DIR", &folder.path().display().to_string()),
    ] {
        let (code, said) = ping(api, &[(variable, path)]);
        assert_eq!(code, Some(1), "{variable}={path}");
        let wanted = format!("the certificates in {variable} cannot be used");
        assert!(said.contains(&wanted), "{said}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
    let (code, said) = ping(&plain, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("TLS failed: what it sends is not TLS"), "{said}");
    let (_, said) = ping(api, &[("SSL_CERT_FILE", "")]);
    assert!(said.contains("refused"), "an empty variable says nothing: {said}");
}
