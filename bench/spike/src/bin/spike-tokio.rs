//! The loop on tokio's current-thread runtime: a task per connection.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use spike::{Framer, Piece};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER: usize = 16 * 1024;

type Pool = Rc<RefCell<Vec<TcpStream>>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, upstream) = spike::addresses()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        let pool = Pool::default();
        loop {
            let (downstream, _) = listener.accept().await?;
            downstream.set_nodelay(true)?;
            let pool = Rc::clone(&pool);
            tokio::task::spawn_local(async move {
                let _ = serve(downstream, upstream, pool).await;
            });
        }
    })
}

async fn serve(mut downstream: TcpStream, address: SocketAddr, pool: Pool) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut upstream = None;
        let mut framer = Framer::default();
        loop {
            let got = downstream.read(&mut buffer).await?;
            if got == 0 {
                return Ok(());
            }
            let (whole, done);
            let bytes = match framer.feed(&buffer[..got]) {
                Piece::Wait => continue,
                Piece::ForwardGiven(last) => {
                    done = last;
                    &buffer[..got]
                }
                Piece::Forward(bytes, last) => {
                    (whole, done) = (bytes, last);
                    &whole
                }
                Piece::Bad => return Ok(()),
            };
            if upstream.is_none() {
                let pooled = pool.borrow_mut().pop();
                upstream = Some(match pooled {
                    Some(connection) => connection,
                    None => {
                        let connection = TcpStream::connect(address).await?;
                        connection.set_nodelay(true)?;
                        connection
                    }
                });
            }
            if let Some(upstream) = &mut upstream {
                upstream.write_all(bytes).await?;
            }
            if done {
                break;
            }
        }
        let Some(mut upstream) = upstream else { return Ok(()) };
        let mut framer = Framer::default();
        loop {
            let got = upstream.read(&mut buffer).await?;
            if got == 0 {
                return Ok(());
            }
            match framer.feed(&buffer[..got]) {
                Piece::Wait => {}
                Piece::ForwardGiven(done) => {
                    downstream.write_all(&buffer[..got]).await?;
                    if done {
                        break;
                    }
                }
                Piece::Forward(bytes, done) => {
                    downstream.write_all(&bytes).await?;
                    if done {
                        break;
                    }
                }
                Piece::Bad => return Ok(()),
            }
        }
        pool.borrow_mut().push(upstream);
    }
}
