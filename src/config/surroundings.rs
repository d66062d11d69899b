//! What a configuration may look up outside itself: environment variables and files that hold
//! secrets. `main` passes in how, so that this module stays pure.

use crate::config::{Faults, Ilert, Secret, defaults, values};
use std::path::{Path, PathBuf};

/// Where systemd puts the credentials of a unit, one file each.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The outside, as questions.
pub struct Surroundings<'a> {
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file; `None` when there is no such file, otherwise why it cannot be read.
    pub read: &'a dyn Fn(&Path) -> Result<Option<String>, String>,
    /// The names in a folder in order, or why it cannot be read.
    pub list: &'a dyn Fn(&Path) -> Result<Vec<String>, String>,
    /// Whether every user of the machine can read a file.
    pub is_open: &'a dyn Fn(&Path) -> bool,
    /// Whether this build can consume from Kafka.
    pub has_kafka: bool,
}

/// The fault when Kafka is configured in a build without it.
pub(crate) const NO_KAFKA: &str = "this build of ilagent has no Kafka consumer; one that has it \
    is built with `cargo build --release --features kafka`";

impl Surroundings<'_> {
    /// An environment variable that is not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The path for a text in a configuration; `$CREDENTIALS_DIRECTORY/NAME` is a credential of
    /// the unit.
    ///
    /// # Errors
    ///
    /// There are no credentials outside a unit.
    pub(crate) fn path(&self, written: &str) -> Result<PathBuf, String> {
        let name = written.strip_prefix('$').and_then(|rest| {
            rest.strip_prefix(CREDENTIALS)
                .or_else(|| rest.strip_prefix('{')?.strip_prefix(CREDENTIALS)?.strip_prefix('}'))
        });
        let Some(name) = name.and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(PathBuf::from(written));
        };
        let folder = self.variable(CREDENTIALS).ok_or_else(|| {
            format!(
                "{CREDENTIALS} is not set; systemd sets it for a service, and to check by hand set \
                 it to /run/credentials/ilagent.service"
            )
        })?;
        Ok(PathBuf::from(folder).join(name))
    }

    /// A warning if everybody can read this file, which holds a secret.
    pub(crate) fn warning(&self, path: &Path) -> Option<String> {
        (self.is_open)(path).then(|| {
            format!(
                "config: {} holds a secret, and every user of this machine can read it; restrict it \
                 (chmod o-r), or move the secret to a file that only the agent can read",
                path.display()
            )
        })
    }

    /// The secret in a file, without the end of its line.
    ///
    /// # Errors
    ///
    /// Says why there is none, without showing what was found.
    pub fn secret_file(&self, path: &Path) -> Result<Secret, String> {
        let text =
            (self.read)(path)?.ok_or_else(|| format!("there is no file {}", path.display()))?;
        secret(text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)))
            .map_err(|why| format!("{}: {why}", path.display()))
    }

    /// A secret that was not configured: from the environment, or else a systemd credential.
    pub(crate) fn secret(
        &self,
        variable: Option<&str>,
        credential: &str,
        faults: &mut Faults,
    ) -> Option<Secret> {
        if let Some((variable, text)) = variable.and_then(|v| Some((v, self.variable(v)?))) {
            return secret(&text).map_err(|why| faults.add(variable, why)).ok();
        }
        let path = PathBuf::from(self.variable(CREDENTIALS)?).join(credential);
        match (self.read)(&path) {
            Ok(None) => None,
            // A unit cannot leave a credential out, so an empty one means none.
            Ok(Some(text)) if text.trim().is_empty() => None,
            Ok(Some(_)) => self.secret_file(&path).map_err(|why| faults.add(CREDENTIALS, why)).ok(),
            Err(why) => {
                faults.add(CREDENTIALS, why);
                None
            }
        }
    }

    /// What was not said of ilert. Returns a warning if the key is not written as it should be.
    pub(crate) fn ilert(&self, ilert: &mut Ilert, faults: &mut Faults) -> Option<&'static str> {
        self.hosts(ilert, faults);
        if ilert.heartbeat.is_none() {
            ilert.heartbeat = self.secret(Some("ILERT_HEARTBEAT_KEY"), "heartbeat_key", faults);
        }
        if ilert.api_key.is_none() {
            ilert.api_key = self.secret(Some("ILERT_API_KEY"), "api_key", faults);
        }
        let key = ilert.api_key.as_ref()?.expose();
        let bare = key.strip_prefix("Bearer ").or_else(|| key.strip_prefix("bearer "))?;
        ilert.api_key = (!bare.is_empty()).then(|| Secret::new(bare));
        ilert.api_key.is_some().then_some(BEARER)
    }

    /// ilert's hosts, where they were not said: from the environment, or else the usual ones.
    pub fn hosts(&self, ilert: &mut Ilert, faults: &mut Faults) {
        for (variable, usual, host) in [
            ("ILERT_API_HOST", defaults::API, &mut ilert.api),
            ("ILERT_HBT_HOST", defaults::BEAT, &mut ilert.beat),
        ] {
            if !host.is_empty() {
                continue;
            }
            let said = self.variable(variable).map(|text| values::base_url(&text));
            match said.unwrap_or_else(|| Ok(usual.to_owned())) {
                Ok(url) => *host = url,
                Err(why) => faults.add(variable, why),
            }
        }
    }
}

/// A text that can be used as a password, key or token.
pub(crate) fn secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("this cannot be empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("this is one line of text without control characters".to_owned());
    }
    Ok(Secret::new(text))
}

/// The warning about an API key with a `Bearer `.
const BEARER: &str =
    "config: the API key begins with `Bearer `, which is left out; give the key alone";

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Surroundings<'static> {
        Surroundings {
            env: &|_| None,
            read: &|_| Ok(None),
            list: &|_| Ok(Vec::new()),
            is_open: &|_| false,
            has_kafka: false,
        }
    }

    #[test]
    fn a_secret_file_is_one_line() {
        let read = |path: &Path| match path.to_str() {
            Some("good") => Ok(Some("hush\n".to_owned())),
            Some("dos") => Ok(Some("hush\r\n".to_owned())),
            Some("empty") => Ok(Some("\n".to_owned())),
            Some("two") => Ok(Some("hush\nhush\n".to_owned())),
            Some("locked") => Err("locked: permission denied".to_owned()),
            _ => Ok(None),
        };
        let around = Surroundings { env: &|_| None, read: &read, ..nowhere() };
        let found = |path: &str| {
            around.secret_file(Path::new(path)).map(|secret| secret.expose().to_owned())
        };
        assert_eq!(found("good"), Ok("hush".to_owned()));
        assert_eq!(found("dos"), Ok("hush".to_owned()));
        assert_eq!(found("empty"), Err("empty: this cannot be empty".to_owned()));
        assert_eq!(found("locked"), Err("locked: permission denied".to_owned()));
        assert_eq!(found("none"), Err("there is no file none".to_owned()));
        assert!(found("two").is_err());
    }

    #[test]
    fn the_environment_wins_over_a_credential() {
        let env = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some("/run/cred".to_owned()),
            "ILERT_API_KEY" => Some("from-env".to_owned()),
            _ => None,
        };
        let read = |path: &Path| {
            Ok(match path.to_str() {
                Some("/run/cred/api_key") => Some("from-file\n".to_owned()),
                Some("/run/cred/http_token") => Some("\n".to_owned()),
                _ => None,
            })
        };
        let around = Surroundings { env: &env, read: &read, ..nowhere() };
        let mut faults = Faults::default();
        let mut found = |variable, credential| {
            around.secret(variable, credential, &mut faults).map(|s| s.expose().to_owned())
        };
        assert_eq!(found(Some("ILERT_API_KEY"), "api_key").as_deref(), Some("from-env"));
        assert_eq!(found(Some("OTHER"), "api_key").as_deref(), Some("from-file"));
        assert_eq!(found(None, "none"), None);
        assert_eq!(found(None, "http_token"), None, "an empty one says nothing");
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn a_path_may_begin_at_the_credentials_of_the_unit() {
        let path = |written: &str, folder: Option<&str>| {
            let env = |name: &str| (name == CREDENTIALS).then(|| folder.map(str::to_owned))?;
            let around = Surroundings { env: &env, ..nowhere() };
            around.path(written).map(|path| path.display().to_string())
        };
        let unit = Some("/run/credentials/a.service");
        for (written, wanted) in [
            ("/etc/key", "/etc/key"),
            ("key", "key"),
            ("$CREDENTIALS_DIRECTORY/client_key", "/run/credentials/a.service/client_key"),
            ("${CREDENTIALS_DIRECTORY}/client_key", "/run/credentials/a.service/client_key"),
            ("$CREDENTIALS_DIRECTORYS/key", "$CREDENTIALS_DIRECTORYS/key"),
            ("/a/$CREDENTIALS_DIRECTORY/key", "/a/$CREDENTIALS_DIRECTORY/key"),
        ] {
            assert_eq!(path(written, unit).as_deref(), Ok(wanted), "{written}");
        }
        let none = path("$CREDENTIALS_DIRECTORY/client_key", None).unwrap_err();
        assert!(none.contains("/run/credentials/ilagent.service"), "{none}");
    }
}
