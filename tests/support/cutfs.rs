//! A file system that loses at a power cut what was not synced: `cutfs.c` says how.

use super::PATIENCE;
use crossbeam_channel::{Receiver, unbounded};
use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// What a mount cannot do; see `cutfs.c`.
pub const NO_MAPS: &[&str] = &["--no-maps"];

pub struct CutFs {
    process: Child,
    commands: Option<ChildStdin>,
    said: Receiver<String>,
    cut: Cell<bool>,
}

impl CutFs {
    /// Mounts an empty one; `None`, with a line in the log, if we may not use FUSE.
    /// Root with a `/dev/fuse` has no excuse.
    #[track_caller]
    pub fn mount(at: &Path, options: &[&str]) -> Option<Self> {
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        if !root || !Path::new("/dev/fuse").exists() {
            super::not_tested("a file system of our own needs root and /dev/fuse");
            return None;
        }
        fs::create_dir_all(at).unwrap();
        let mut process = Command::new(program())
            .args(options)
            .arg(at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, said) = unbounded();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if line.is_err() || tell.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let commands = process.stdin.take();
        let disk = CutFs { process, commands, said, cut: Cell::new(false) };
        disk.answer("mounted");
        Some(disk)
    }

    /// Cuts the power in the `number`th change or sync from now.
    pub fn arm(&self, number: u64) {
        self.cut.set(false);
        self.tell(&format!("arm {number}"));
        self.answer("armed");
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        if !self.cut.get() {
            self.cut.set(self.said.try_recv().is_ok_and(|line| line == "cut"));
        }
        self.cut.get()
    }

    /// Cuts the power now, if it is not gone.
    pub fn cut(&self) {
        self.tell("cut");
        // One way or the other it says so once.
        if !self.cut.replace(true) {
            self.answer("cut");
        }
    }

    /// Whoever waits for the disk gets an error; to be called when they cannot use it any more.
    pub fn release(&self) {
        self.tell("release");
        self.answer("released");
    }

    /// What is on the disk is there again; tells how many changes were lost by the dice of `seed`.
    pub fn restore(&self, seed: u64) -> u64 {
        self.tell(&format!("restore {seed}"));
        let numbers = self.answer("restored ");
        numbers.split(' ').next().unwrap().parse().unwrap()
    }

    fn tell(&self, command: &str) {
        writeln!(self.commands.as_ref().unwrap(), "{command}").unwrap();
    }

    #[track_caller]
    fn answer(&self, wanted: &str) -> String {
        loop {
            let line = self.said.recv_timeout(PATIENCE).expect("the file system answers");
            if let Some(rest) = line.strip_prefix(wanted) {
                return rest.to_owned();
            }
            assert!(line == "cut", "`{line}` in place of `{wanted}`");
            self.cut.set(true);
        }
    }
}

impl Drop for CutFs {
    fn drop(&mut self) {
        // Without its stdin it unmounts and ends.
        drop(self.commands.take());
        let _ = self.process.wait();
    }
}

/// Compiles the file system once.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let flags = Command::new("pkg-config").args(["--cflags", "--libs", "fuse3"]).output();
        let flags = flags.expect("pkg-config is installed").stdout;
        let flags = String::from_utf8(flags).unwrap();
        assert!(!flags.trim().is_empty(), "libfuse3-dev is installed");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let made = folder.join(format!("cutfs-{}", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&made)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cutfs.c"))
            .args(flags.split_whitespace())
            .status();
        assert!(compiled.expect("cc is installed").success(), "cutfs.c compiles");
        // Others may run the one that is there.
        let program = folder.join("cutfs");
        fs::rename(made, &program).unwrap();
        program
    })
}
