//! Serves transfers of the pattern, either way, until the client closes.

use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::pattern::Pattern;
use crate::transfer::{self, BAD, BUFFER, GOOD, Transfer, Way};

pub async fn connection(mut socket: TcpStream, pattern: Rc<Pattern>) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut request = [0; 9];
        if let Err(error) = socket.read_exact(&mut request).await {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
        let Some(Transfer { way, size }) = Transfer::parse(request) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match way {
            Way::Down => transfer::send(&mut socket, &pattern, size).await?,
            Way::Up => {
                buffer.resize(BUFFER, 0);
                let good = transfer::receive(&mut socket, &pattern, size, &mut buffer).await?;
                socket.write_u8(if good { GOOD } else { BAD }).await?;
            }
        }
    }
}
