//! Who can read a file, and files that are ours alone.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The rights of others, who are neither the owner nor in the group: to read, and to traverse.
const OTHERS_READ: u32 = 0o004;
const OTHERS_ENTER: u32 = 0o001;

/// Whether every user of the machine can read a file: it and all folders on the way to it allow it.
#[must_use]
pub fn is_open(path: &Path) -> bool {
    let allows = |path: &Path, right: u32| {
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & right != 0)
    };
    let Ok(path) = path.canonicalize() else { return false };
    allows(&path, OTHERS_READ)
        && path.ancestors().skip(1).all(|folder| allows(folder, OTHERS_ENTER))
}

/// Opens a file as `options` say. If it is not there it is made, and only its owner may read it. A
/// link that somebody put in its place is not followed.
///
/// # Errors
///
/// Fails when it cannot be opened, or when something else has its name.
pub fn open_private(path: &Path, options: &OpenOptions) -> io::Result<File> {
    let file = match options.clone().create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(path)?,
        made => return made,
    };
    let (opened, named) = (file.metadata()?, path.symlink_metadata()?);
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(io::Error::other("it is a link, which is not followed"));
    }
    if !opened.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_file_is_open_when_everything_on_the_way_to_it_is() {
        let folder = std::env::temp_dir().join(format!("ilagent-files-{}", std::process::id()));
        let file = folder.join("key");
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, "secret").unwrap();
        for (folder_mode, file_mode, wanted) in [
            (0o755, 0o644, true),
            (0o755, 0o640, false),
            (0o755, 0o600, false),
            (0o711, 0o604, true),
            (0o700, 0o644, false),
            (0o750, 0o644, false),
        ] {
            fs::set_permissions(&folder, Permissions::from_mode(folder_mode)).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(file_mode)).unwrap();
            assert_eq!(is_open(&file), wanted, "{folder_mode:o} {file_mode:o}");
        }
        assert!(!is_open(&folder.join("none")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
