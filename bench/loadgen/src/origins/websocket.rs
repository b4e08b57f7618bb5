//! Upgrades, then sends every message back; answers a close frame with one, and closes.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http::header;
use crate::websocket::{CLOSE, Reader, accept, write};

const REFUSED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n";

pub async fn connection(mut socket: TcpStream) -> io::Result<()> {
    let mut reader = Reader::new();
    loop {
        let Some(head) = reader.head(&mut socket).await? else { return Ok(()) };
        let asks = header(&head, b"upgrade").is_some_and(|v| v.eq_ignore_ascii_case(b"websocket"));
        if let (true, Some(key)) = (asks, header(&head, b"sec-websocket-key")) {
            let accept = accept(key);
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            socket.write_all(answer.as_bytes()).await?;
            return messages(socket, reader).await;
        }
        socket.write_all(REFUSED).await?;
    }
}

async fn messages(mut socket: TcpStream, mut reader: Reader) -> io::Result<()> {
    let mut scratch = Vec::new();
    while let Some(frame) = reader.frame(&mut socket, true).await? {
        write(&mut socket, &mut scratch, frame.opcode, &frame.payload, None).await?;
        if frame.opcode == CLOSE {
            break;
        }
    }
    Ok(())
}
