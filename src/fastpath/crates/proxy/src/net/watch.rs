//! Watching directories for files that are moved in: how Envoy's filesystem subscriptions learn of
//! a new version. A file written in place is not noticed on purpose: it may be half written.

use std::collections::HashMap;
use std::io::Result;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::inotify;
use rustix::io::Errno;

#[derive(Debug)]
pub struct Watcher {
    fd: OwnedFd,
    /// By watch descriptor. Two paths may name one directory.
    directories: HashMap<i32, Vec<String>>,
}

impl Watcher {
    pub fn new() -> Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        Ok(Self {
            fd,
            directories: HashMap::new(),
        })
    }

    /// Readable when [`Watcher::read`] has something to say.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }

    /// Starts to watch a directory; doing it again changes nothing.
    pub fn add(&mut self, directory: &str) -> Result<()> {
        let wd = inotify::add_watch(
            &self.fd,
            directory,
            inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::ONLYDIR,
        )?;
        let paths = self.directories.entry(wd).or_default();
        if !paths.iter().any(|p| p == directory) {
            paths.push(directory.to_owned());
        }
        Ok(())
    }

    pub fn remove(&mut self, directory: &str) {
        let mut unused = None;
        for (wd, paths) in &mut self.directories {
            paths.retain(|p| p != directory);
            if paths.is_empty() {
                unused = Some(*wd);
            }
        }
        if let Some(wd) = unused {
            self.directories.remove(&wd);
            // Fails if the directory is gone, and its watch with it.
            let _ = inotify::remove_watch(&self.fd, wd);
        }
    }

    /// (directory as given, name) of what was moved in since the last call; a pair of empty
    /// strings if the kernel dropped events and anything may have changed.
    pub fn read(&mut self) -> Result<Vec<(String, String)>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.fd, &mut buffer);
        let mut moved = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                        moved.push((String::new(), String::new()));
                        continue;
                    }
                    if event.events().contains(inotify::ReadFlags::IGNORED) {
                        self.directories.remove(&event.wd());
                        continue;
                    }
                    let Some(name) = event.file_name() else {
                        continue;
                    };
                    let name = name.to_string_lossy();
                    for path in self.directories.get(&event.wd()).into_iter().flatten() {
                        moved.push((path.clone(), name.to_string()));
                    }
                }
                Err(Errno::AGAIN) => return Ok(moved),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_told_and_writes_are_not() {
        let dir = std::env::temp_dir().join(format!("fastmesh-watch-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.to_str().unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.add(path).unwrap();
        watcher.add(path).unwrap();
        std::fs::write(dir.join("a.tmp"), "x").unwrap();
        assert_eq!(watcher.read().unwrap(), vec![]);
        std::fs::rename(dir.join("a.tmp"), dir.join("a")).unwrap();
        assert_eq!(
            watcher.read().unwrap(),
            vec![(path.to_owned(), "a".to_owned())]
        );
        watcher.remove(path);
        std::fs::rename(dir.join("a"), dir.join("b")).unwrap();
        assert_eq!(watcher.read().unwrap(), vec![]);
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(watcher.add("/no/such/directory").is_err());
    }
}
