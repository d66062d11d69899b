//! Where the machine says what its local time is.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longer files are no zone files.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where names such as `Europe/Berlin` are files.
const FOLDER: &str = "/usr/share/zoneinfo";

/// The rule for local time in POSIX's form, such as `CET-1CEST,M3.5.0,M10.5.0/3`; `None` is UTC.
///
/// `TZ` goes first, then what a distribution has in `/etc/localtime` and OpenWrt in `/etc/TZ`.
#[must_use]
pub fn rule() -> Option<String> {
    rule_with(std::env::var("TZ").ok().as_deref())
}

/// The same with a given `TZ`.
#[must_use]
pub fn rule_with(variable: Option<&str>) -> Option<String> {
    found(variable, Path::new("/"))
}

fn found(variable: Option<&str>, root: &Path) -> Option<String> {
    let inside = |path: &str| root.join(path.trim_start_matches('/'));
    if let Some(variable) = variable {
        let name = variable.strip_prefix(':').unwrap_or(variable);
        if name.is_empty() {
            return None;
        }
        let file = if name.starts_with('/') { name.to_owned() } else { format!("{FOLDER}/{name}") };
        return of_zone_file(&inside(&file)).or_else(|| Some(name.to_owned()));
    }
    let openwrt = || String::from_utf8(read(&inside("/etc/TZ"))?).ok();
    let rule = of_zone_file(&inside("/etc/localtime")).or_else(openwrt)?;
    Some(rule.trim().to_owned()).filter(|rule| !rule.is_empty())
}

/// The last line of a zone file says what holds from now on (RFC 9636, section 3.3).
fn of_zone_file(path: &Path) -> Option<String> {
    let bytes = read(path)?;
    let lines = bytes.strip_prefix(b"TZif").and(bytes.strip_suffix(b"\n"))?;
    let begin = lines.iter().rposition(|&byte| byte == b'\n')? + 1;
    String::from_utf8(lines[begin..].to_vec()).ok()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_rule_is_looked_for_where_machines_have_it() {
        let root = std::env::temp_dir().join(format!("ilagent-zone-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("usr/share/zoneinfo/Europe")).unwrap();
        let none = |variable| found(variable, &root);
        assert_eq!(none(None), None);
        assert_eq!(none(Some("CET-1")), Some("CET-1".to_owned()));
        fs::write(root.join("etc/TZ"), "EET-2\n").unwrap();
        assert_eq!(found(None, &root), Some("EET-2".to_owned()));
        fs::write(root.join("etc/localtime"), b"TZif2\0\xff\nUTC0\n").unwrap();
        assert_eq!(found(None, &root), Some("UTC0".to_owned()));
        fs::write(root.join("usr/share/zoneinfo/Europe/Berlin"), b"TZif2\0\nCET-1CEST\n").unwrap();
        for (variable, wanted) in [
            ("Europe/Berlin", Some("CET-1CEST")),
            (":Europe/Berlin", Some("CET-1CEST")),
            ("/etc/localtime", Some("UTC0")),
            ("Europe/Nowhere", Some("Europe/Nowhere")), // Which is no rule, and can be reported.
            ("", None),
        ] {
            assert_eq!(found(Some(variable), &root).as_deref(), wanted, "{variable}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
