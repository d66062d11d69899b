//! The way to a host: directly, or through a proxy.
//!
//! People name a proxy because the direct way is forbidden, watched or missing. So a proxy that
//! cannot be used is a fault, and never a reason to connect directly.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By its own address.
    Direct,
    /// Through a proxy that connects for us.
    Proxy {
        /// The variable that names it.
        variable: &'static str,
        /// Its address, and our credentials for it.
        proxy: Proxy,
    },
}

impl Way {
    /// The way to `url` by the environment of this process; see [`Way::to`].
    ///
    /// # Errors
    ///
    /// Names the variable that cannot be used, and for what.
    pub fn by_environment(url: &str) -> Result<Self, String> {
        Way::to(url, &|name| std::env::var_os(name))
            .map_err(|what| format!("{what} (on the way to {url})"))
    }

    /// The way to `url` (scheme, host, port) by the variables of the environment: the one for its
    /// scheme, `ALL_PROXY`, or else the one for the other scheme, unless `NO_PROXY` names the host.
    ///
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn to(url: &str, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let Ok(url) = url.parse::<Uri>() else { return Err(format!("`{url}` is not a URL")) };
        let is_https = url.scheme_str() == Some("https");
        let (first, last) = match is_https {
            true => (["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"]),
            false => (["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"]),
        };
        let said = |variable| Some((variable, env(variable).filter(|text| !is_blank(text))?));
        let named = [first, ["ALL_PROXY", "all_proxy"], last].into_iter().flatten().find_map(said);
        let Some((variable, text)) = named else { return Ok(Way::Direct) };
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if let Some((_, list)) = ["NO_PROXY", "no_proxy"].into_iter().find_map(said)
            && spares(&list.to_string_lossy(), host, port)
        {
            return Ok(Way::Direct);
        }
        proxy(&text)
            .map(|proxy| Way::Proxy { variable, proxy })
            .map_err(|why| format!("the proxy in {variable} cannot be used: {why}"))
    }

    /// The proxy, if there is one.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        match self {
            Way::Direct => None,
            Way::Proxy { proxy, .. } => Some(proxy),
        }
    }
}

/// Without our credentials for the proxy.
impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Direct => f.write_str("directly"),
            Way::Proxy { variable, proxy } => {
                let scheme = proxy.protocol().to_string().to_ascii_lowercase();
                let (host, port) = (proxy.host(), proxy.port());
                write!(f, "through the proxy {scheme}://{host}:{port} ({variable})")
            }
        }
    }
}

fn is_blank(text: &OsString) -> bool {
    text.to_str().is_some_and(|text| text.trim().is_empty())
}

/// The proxy at an address, which is never shown because it may contain a password.
fn proxy(text: &OsString) -> Result<Proxy, String> {
    let text = text.to_str().ok_or("it is not UTF-8")?.trim();
    let wrong = || "it is not of the form http://host:port".to_owned();
    let scheme = text.split_once("://").map_or("http", |(scheme, _)| scheme);
    if scheme.to_ascii_lowercase().starts_with("socks") {
        return Err(format!(
            "it is a SOCKS proxy ({scheme}://), and only HTTP proxies are supported; name one as \
             http://host:port, or the host of the API in NO_PROXY to go there directly"
        ));
    }
    let proxy = Proxy::new(text).map_err(|_| wrong())?;
    let known = matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    let authority = proxy.uri().authority().map_or("", |authority| authority.as_str());
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let port = address.strip_prefix(proxy.host()).map(|port| port.trim_start_matches(':'));
    let has_port = port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
    if !known || proxy.host().is_empty() || !has_port {
        return Err(wrong());
    }
    Ok(proxy)
}

/// Whether a list of hosts that need no proxy names `host`. Read as curl and most others do: names
/// with everything below them, addresses and blocks of addresses, with or without a port, separated
/// by commas or blanks; or `*` for everything.
fn spares(list: &str, host: &str, port: u16) -> bool {
    list.split(|letter: char| letter == ',' || letter.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .any(|entry| covers(entry, host, port))
}

fn covers(entry: &str, host: &str, port: u16) -> bool {
    let entry = entry.split_once("://").map_or(entry, |(_, rest)| rest).trim_end_matches('/');
    let (name, wanted) = name_and_port(entry);
    if wanted.is_some_and(|wanted| wanted.parse() != Ok(port)) {
        return false;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => covers_address(name, host, address.to_canonical()),
        Err(_) => covers_name(&name.to_ascii_lowercase(), &host.to_ascii_lowercase()),
    }
}

fn name_and_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((address, after)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, after.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (entry, None),
    }
}

fn covers_address(name: &str, host: &str, address: IpAddr) -> bool {
    if let Some((block, bits)) = name.split_once('/') {
        let block = block.parse::<IpAddr>();
        return block.is_ok_and(|block| is_in(address, block.to_canonical(), bits));
    }
    match (name.parse::<IpAddr>(), name.strip_suffix('*')) {
        (Ok(named), _) => named.to_canonical() == address,
        (Err(_), Some(beginning)) => host.starts_with(beginning),
        (Err(_), None) => name.ends_with('.') && host.starts_with(name),
    }
}

fn is_in(address: IpAddr, block: IpAddr, bits: &str) -> bool {
    let (address, block, whole) = match (address, block) {
        (IpAddr::V4(address), IpAddr::V4(block)) => {
            (u128::from(address.to_bits()), u128::from(block.to_bits()), u32::BITS)
        }
        (IpAddr::V6(address), IpAddr::V6(block)) => {
            (address.to_bits(), block.to_bits(), u128::BITS)
        }
        _ => return false,
    };
    let Some(rest) = bits.parse().ok().and_then(|bits: u32| whole.checked_sub(bits)) else {
        return false;
    };
    (address ^ block).checked_shr(rest).unwrap_or(0) == 0
}

fn covers_name(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match name.strip_prefix('*').unwrap_or(name).trim_end_matches('.') {
        "" => name == "*",
        name if name.ends_with('*') => host.starts_with(name.trim_end_matches('*')),
        name => {
            let domain = name.trim_start_matches('.');
            let above = host.strip_suffix(domain);
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    const API: &str = "https://api.ilert.com";

    fn way(url: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Way::to(url, &env).map(|way| way.to_string())
    }

    #[test]
    fn the_variable_for_the_scheme_wins() {
        let through = |words: &str| format!("through the proxy http://{words}");
        let (socks, http) = (("ALL_PROXY", "socks5://s:1080"), ("HTTP_PROXY", "http://h:2"));
        for (url, variables, wanted) in [
            (API, &[][..], "directly".to_owned()),
            (API, &[("HTTPS_PROXY", ""), ("all_proxy", " ")], "directly".to_owned()),
            (API, &[socks, ("HTTPS_PROXY", "http://h:1")], through("h:1 (HTTPS_PROXY)")),
            (API, &[socks, ("https_proxy", "h:1")], through("h:1 (https_proxy)")),
            (API, &[("ALL_PROXY", "h:1"), http], through("h:1 (ALL_PROXY)")),
            (API, &[http], through("h:2 (HTTP_PROXY)")),
            ("http://a", &[("HTTPS_PROXY", "h:1"), http], through("h:2 (HTTP_PROXY)")),
            (API, &[("HTTPS_PROXY", "http://me:hush@h")], through("h:80 (HTTPS_PROXY)")),
            (API, &[("HTTPS_PROXY", "http://[::1]:3128/")], through("[::1]:3128 (HTTPS_PROXY)")),
            (API, &[socks, ("NO_PROXY", "ilert.com")], "directly".to_owned()),
        ] {
            assert_eq!(way(url, variables), Ok(wanted), "{url} {variables:?}");
        }
        let wanted = "through the proxy https://h:443 (HTTPS_PROXY)".to_owned();
        assert_eq!(way(API, &[("HTTPS_PROXY", "https://h")]), Ok(wanted));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_a_fault() {
        for (variable, text, words) in [
            ("ALL_PROXY", "socks://h:1", "a SOCKS proxy (socks://)"),
            ("ALL_PROXY", "socks4://h:1", "a SOCKS proxy (socks4://)"),
            ("all_proxy", "SOCKS5://h:1", "a SOCKS proxy (SOCKS5://)"),
            ("HTTPS_PROXY", "socks5h://h:1", "a SOCKS proxy (socks5h://)"),
            ("http_proxy", "socks4a://me:hush@h:1", "a SOCKS proxy (socks4a://)"),
            ("HTTPS_PROXY", "ftp://h:1", "not of the form http://host:port"),
            ("HTTPS_PROXY", "http://", "not of the form http://host:port"),
            ("HTTPS_PROXY", "http://:3128", "not of the form http://host:port"),
            ("HTTPS_PROXY", "http://h:99999", "not of the form http://host:port"),
            ("HTTPS_PROXY", "http://me:hush@h:x", "not of the form http://host:port"),
            ("HTTPS_PROXY", "two words", "not of the form http://host:port"),
        ] {
            let fault = way(API, &[(variable, text)]).expect_err(text);
            let beginning = format!("the proxy in {variable} cannot be used: it is ");
            assert!(fault.starts_with(&beginning) && fault.contains(words), "{fault}");
            assert!(!fault.contains("hush"), "{fault}");
        }
        let env = |name: &str| (name == "HTTPS_PROXY").then(|| OsString::from_vec(vec![0xff]));
        assert!(Way::to(API, &env).unwrap_err().contains("HTTPS_PROXY cannot be used"));
    }

    #[test]
    fn the_list_of_those_without_a_proxy_is_read_as_everybody_writes_it() {
        for (url, list, is_direct) in [
            ("http://127.0.0.1:8080", "localhost, 127.0.0.1", true),
            ("http://127.0.0.1:8080", "localhost 127.0.0.1", true),
            ("http://127.0.0.1:8080", "127.0.0.0/8", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://127.0.0.1:8080", "127.0.0.1:8081", false),
            ("http://127.0.0.1:8080", "127.0.0.1:", false),
            ("http://127.0.0.1:8080", "128.0.0.0/8,10.0.0.0/33,x/8,127.0.0.1/x", false),
            ("http://127.0.0.1:8080", "0.0.0.0/0", true),
            ("http://127.0.0.1:8080", "127.*", true),
            ("http://127.0.0.1:8080", "127.", true),
            ("http://127.0.0.1:8080", "27.0.0.1", false),
            ("http://127.0.0.1:8080", "::ffff:127.0.0.1", true),
            ("http://[fe80::1]:80", "[fe80::1]", true),
            ("http://[fe80::1]:80", "fe80::1", true),
            ("http://[fe80::1]:80", "[fe80::1]:80", true),
            ("http://[fe80::1]:80", "[fe80::1]:81", false),
            ("http://[fe80::1]:80", "fe80::/10", true),
            ("http://[fe80::1]:80", "FE80:0::0001", true),
            ("http://[fe80::1]:80", "127.0.0.0/8", false),
            ("http://[fe80::1]:80", "::/0", true),
            ("https://api.plant.example", "plant.example", true),
            ("https://api.plant.example", ".plant.example", true),
            ("https://api.plant.example", "localhost, .plant.example", true),
            ("https://api.plant.example", "*.plant.example", true),
            ("https://api.plant.example", "PLANT.Example.", true),
            ("https://api.plant.example", "api.*", true),
            ("https://api.plant.example", "plant.example:443", true),
            ("https://api.plant.example", "plant.example:80", false),
            ("https://api.plant.example", "https://api.plant.example/", true),
            ("https://api.plant.example", "lant.example", false),
            ("https://api.plant.example", "api.plant.example.com", false),
            ("https://api.plant.example", "127.0.0.0/8", false),
            ("https://plant.example", ".plant.example", true),
            ("https://plant.example", "*", true),
            ("https://plant.example", "foo,*", true),
            ("https://plant.example", "foo, ., ,", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://h:1"), ("NO_PROXY", list)];
            let found = way(url, &variables).unwrap();
            assert_eq!(found == "directly", is_direct, "{url}, `{list}`: {found}");
        }
        let variables = [("HTTPS_PROXY", "h:1"), ("NO_PROXY", ""), ("no_proxy", "ilert.com")];
        assert_eq!(way(API, &variables).unwrap(), "directly", "an empty variable says nothing");
    }
}
