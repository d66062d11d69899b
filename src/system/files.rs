//! Who can read a file.

use std::os::unix::fs::PermissionsExt;
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
