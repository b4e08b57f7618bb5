//! Unix sockets: what Envoy calls pipes (`source/common/network/{address,socket}_impl.cc`).

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use model::resources::address::Address;
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A bound, listening, non-blocking socket. `path`: of its file, or `@name`; `mode`: the file's
/// permissions, 0 as the umask leaves them.
///
/// The file stays when the socket goes, as with Envoy: whoever binds next takes it over.
pub fn listen(path: &str, mode: u32, backlog: i32) -> Result<OwnedFd> {
    let fd = socket()?;
    let address = named(path)?;
    let is_file = address.path_bytes().is_some();
    if is_file {
        remove_stale(Path::new(path))?;
    }
    rustix::net::bind(&fd, &address)?;
    if is_file && mode != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(super::errno)?;
    }
    rustix::net::listen(&fd, backlog)?;
    Ok(fd)
}

/// Connects at once or not at all: `EAGAIN` means that the peer's backlog is full.
pub fn connect(path: &str) -> Result<(OwnedFd, Option<Errno>)> {
    let fd = socket()?;
    loop {
        match rustix::net::connect(&fd, &named(path)?) {
            Ok(()) | Err(Errno::ISCONN | Errno::INPROGRESS) => return Ok((fd, None)),
            Err(Errno::INTR) => {}
            Err(e) => return Ok((fd, Some(e))),
        }
    }
}

/// As Envoy writes it: NULs of an abstract name as `@`.
pub fn address_of(found: &SocketAddrUnix) -> Address {
    let text = match (found.path_bytes(), found.abstract_name()) {
        (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
        // A socket without a name is one whose name is empty.
        (None, Some(name)) if !name.is_empty() => {
            format!("@{}", String::from_utf8_lossy(name).replace('\0', "@"))
        }
        (None, _) => String::new(),
    };
    Address::Pipe(text.into())
}

fn socket() -> Result<OwnedFd> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

fn named(path: &str) -> Result<SocketAddrUnix> {
    match path.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(path),
    }
}

/// Removes the socket of whoever was here before. Anything else stays, and binding says so.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(super::errno),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("fastmesh-unix-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn the_next_one_takes_over_and_modes_are_set() {
        let path = scratch("next");
        let text = path.to_str().unwrap();
        let first = listen(text, 0o600, 8).unwrap();
        let second = listen(text, 0o640, 8).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        drop(first);
        assert_eq!(connect(text).unwrap().1, None);
        drop(second);
        assert!(path.exists());
        assert_eq!(connect(text).unwrap().1, Some(Errno::CONNREFUSED));
    }

    #[test]
    fn what_is_no_socket_stays() {
        let path = scratch("precious");
        fs::write(&path, "precious").unwrap();
        let refused = listen(path.to_str().unwrap(), 0, 8).unwrap_err();
        assert_eq!(refused, Errno::ADDRINUSE);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let nowhere = path.with_file_name("no/such/folder");
        let refused = listen(nowhere.to_str().unwrap(), 0, 8).unwrap_err();
        assert_eq!(refused, Errno::NOENT);
    }

    #[test]
    fn names_are_shown_as_they_are_configured() {
        for text in [
            format!("@fastmesh-{}", std::process::id()),
            scratch("shown").to_str().unwrap().to_owned(),
        ] {
            let listener = listen(&text, 0, 8).unwrap();
            let address = super::super::socket::local_address(&listener);
            assert_eq!(address, Some(Address::Pipe(text.as_str().into())));
            let (client, refused) = connect(&text).unwrap();
            assert_eq!(
                (refused, super::super::socket::local_address(&client)),
                (None, None)
            );
            let (server, peer) = super::super::socket::accept(&listener).unwrap().unwrap();
            assert_eq!(peer, Address::Pipe("".into()));
            let (mut client, mut server) = (UnixStream::from(client), UnixStream::from(server));
            client.write_all(b"hello").unwrap();
            let mut said = [0; 5];
            server.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"hello");
        }
        let found = SocketAddrUnix::new_abstract_name(b"a\0b").unwrap();
        assert_eq!(address_of(&found), Address::Pipe("@a@b".into()));
    }
}
