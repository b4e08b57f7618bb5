//! The loop on io_uring: one issuer, deferred task work, multishot accept and receive, a ring of
//! provided buffers; a message is sent straight from the buffer it was received in.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};
use spike::{Framer, Piece};

const ENTRIES: u32 = 1024;
const BUFFERS: u16 = 1024;
const BUFFER: usize = 16 * 1024;
const GROUP: u16 = 0;
/// MSG_WAITALL on a send: the kernel goes on until all is sent.
const SEND_FLAGS: i32 = 0x100 | 0x4000;

const ACCEPT: u64 = 0;
const RECV: u64 = 1;
const SEND: u64 = 2;
/// Sends of bytes that were copied out of a buffer carry this instead of a buffer.
const OWNED: u64 = 0xFFFF;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (listen, upstream) = spike::addresses()?;
    let listener = TcpListener::bind(listen)?;
    let mut ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(4 * ENTRIES)
        .build(ENTRIES)?;
    let buffers = Buffers::new();
    // SAFETY: the ring of buffers is never freed.
    unsafe {
        ring.submitter().register_buf_ring_with_flags(buffers.ring as u64, BUFFERS, GROUP, 0)?;
    }
    let mut worker = Worker {
        upstream,
        buffers,
        sockets: Vec::new(),
        free: Vec::new(),
        pool: Vec::new(),
        queue: Vec::new(),
    };
    let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).build().user_data(ACCEPT);
    worker.queue.push(accept.clone());
    let mut done: Vec<(u64, i32, u32)> = Vec::new();
    loop {
        submit(&mut ring, &mut worker.queue)?;
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        }
        done.extend(ring.completion().map(|c| (c.user_data(), c.result(), c.flags())));
        for (data, result, flags) in done.drain(..) {
            let (slot, buffer) = ((data >> 32) as usize, (data >> 16) & 0xFFFF);
            match data & 0xFF {
                ACCEPT => {
                    if result >= 0 {
                        // SAFETY: the kernel just made this descriptor for us.
                        let fd = unsafe { OwnedFd::from_raw_fd(result) };
                        worker.add(TcpStream::from(fd), None)?;
                    }
                    if !cqueue::more(flags) {
                        worker.queue.push(accept.clone());
                    }
                }
                RECV => worker.received(slot, result, flags)?,
                _ => worker.sent(slot, buffer, result),
            }
        }
    }
}

fn submit(ring: &mut IoUring, queue: &mut Vec<squeue::Entry>) -> io::Result<()> {
    for entry in queue.drain(..) {
        // SAFETY: what an entry points to lives until its completion: buffers of the ring are
        // given back on completion, owned bytes are kept in the socket.
        while unsafe { ring.submission().push(&entry) }.is_err() {
            ring.submit()?;
        }
    }
    Ok(())
}

struct Worker {
    upstream: SocketAddr,
    buffers: Buffers,
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    pool: Vec<usize>,
    /// Entries for the next submission.
    queue: Vec<squeue::Entry>,
}

struct Socket {
    fd: OwnedFd,
    is_upstream: bool,
    peer: Option<usize>,
    framer: Framer,
    /// Operations the kernel still has; the slot is not given to another socket before they end.
    pending: usize,
    closed: bool,
    owned: Vec<u8>,
    /// Large messages: sends wait for each other, so that their order is kept.
    sending: bool,
    waiting: Vec<(u64, u64, u32)>,
}

impl Worker {
    fn add(&mut self, stream: TcpStream, upstream_of: Option<usize>) -> io::Result<usize> {
        stream.set_nodelay(true)?;
        let slot = self.free.pop().unwrap_or(self.sockets.len());
        if slot == self.sockets.len() {
            self.sockets.push(None);
        }
        self.sockets[slot] = Some(Socket {
            fd: stream.into(),
            is_upstream: upstream_of.is_some(),
            peer: upstream_of,
            framer: Framer::default(),
            pending: 0,
            closed: false,
            owned: Vec::new(),
            sending: false,
            waiting: Vec::new(),
        });
        self.arm(slot);
        Ok(slot)
    }

    fn arm(&mut self, slot: usize) {
        let Some(socket) = &mut self.sockets[slot] else { return };
        socket.pending += 1;
        let recv = opcode::RecvMulti::new(Fd(socket.fd.as_raw_fd()), GROUP).build();
        self.queue.push(recv.user_data((slot as u64) << 32 | RECV));
    }

    fn received(&mut self, slot: usize, result: i32, flags: u32) -> io::Result<()> {
        let more = cqueue::more(flags);
        let Some(socket) = &mut self.sockets[slot] else { return Ok(()) };
        socket.pending -= usize::from(!more);
        let buffer = cqueue::buffer_select(flags);
        if result <= 0 || socket.closed {
            if let Some(buffer) = buffer {
                self.buffers.give_back(buffer);
            }
            const ENOBUFS: i32 = -105;
            if result == ENOBUFS && !socket.closed {
                self.arm(slot)
            } else {
                self.close(slot)
            }
            return Ok(());
        }
        if !more {
            self.arm(slot);
        }
        let Some(buffer) = buffer else { return Ok(()) };
        let Some(socket) = &mut self.sockets[slot] else { return Ok(()) };
        match socket.framer.feed(self.buffers.bytes(buffer, result as usize)) {
            Piece::ForwardGiven(done) => {
                let address = self.buffers.address(buffer) as u64;
                self.forward(slot, u64::from(buffer), address, result as u32, done)?;
            }
            Piece::Forward(bytes, done) => {
                self.buffers.give_back(buffer);
                let (address, len) = (bytes.as_ptr() as u64, bytes.len() as u32);
                socket.owned = bytes;
                self.forward(slot, OWNED, address, len, done)?;
            }
            Piece::Wait => self.buffers.give_back(buffer),
            Piece::Bad => {
                self.buffers.give_back(buffer);
                self.close(slot);
            }
        }
        Ok(())
    }

    fn forward(
        &mut self,
        from: usize,
        buffer: u64,
        address: u64,
        len: u32,
        done: bool,
    ) -> io::Result<()> {
        let Some(socket) = &self.sockets[from] else { return Ok(()) };
        let is_upstream = socket.is_upstream;
        let to = match socket.peer {
            Some(peer) => peer,
            None if is_upstream => {
                if buffer != OWNED {
                    self.buffers.give_back(buffer as u16);
                }
                return Ok(());
            }
            None => self.take_upstream(from)?,
        };
        self.send(to, buffer, address, len);
        if is_upstream && done {
            for slot in [from, to] {
                if let Some(socket) = &mut self.sockets[slot] {
                    socket.peer = None;
                }
            }
            self.pool.push(from);
        }
        Ok(())
    }

    fn take_upstream(&mut self, downstream: usize) -> io::Result<usize> {
        let slot = match self.pool.pop() {
            Some(slot) => slot,
            // Blocks, which a real proxy must not: the pool is warm when anything is measured.
            None => self.add(TcpStream::connect(self.upstream)?, Some(downstream))?,
        };
        if let Some(upstream) = &mut self.sockets[slot] {
            upstream.peer = Some(downstream);
        }
        if let Some(socket) = &mut self.sockets[downstream] {
            socket.peer = Some(slot);
        }
        Ok(slot)
    }

    fn send(&mut self, slot: usize, buffer: u64, address: u64, len: u32) {
        let Some(socket) = &mut self.sockets[slot] else { return };
        if socket.sending {
            socket.waiting.push((buffer, address, len));
            return;
        }
        socket.sending = true;
        socket.pending += 1;
        let send = opcode::Send::new(Fd(socket.fd.as_raw_fd()), address as *const u8, len);
        let data = (slot as u64) << 32 | buffer << 16 | SEND;
        self.queue.push(send.flags(SEND_FLAGS).build().user_data(data));
    }

    fn sent(&mut self, slot: usize, buffer: u64, result: i32) {
        if buffer != OWNED {
            self.buffers.give_back(buffer as u16);
        }
        let Some(socket) = &mut self.sockets[slot] else { return };
        socket.pending -= 1;
        socket.sending = false;
        if result < 0 || socket.closed {
            return self.close(slot);
        }
        if !socket.waiting.is_empty() {
            let (buffer, address, len) = socket.waiting.remove(0);
            self.send(slot, buffer, address, len);
        }
    }

    fn close(&mut self, slot: usize) {
        let Some(socket) = &mut self.sockets[slot] else { return };
        if !socket.closed {
            socket.closed = true;
            self.pool.retain(|&pooled| pooled != slot);
            for (buffer, ..) in socket.waiting.drain(..).filter(|w| w.0 != OWNED) {
                self.buffers.give_back(buffer as u16);
            }
            // Wakes the multishot receive, which then ends.
            let _ = rustix::net::shutdown(&socket.fd, rustix::net::Shutdown::Both);
            if let Some(peer) = socket.peer.take() {
                self.close(peer);
            }
        }
        if self.sockets[slot].as_ref().is_some_and(|socket| socket.pending == 0) {
            self.sockets[slot] = None;
            self.free.push(slot);
        }
    }
}

/// The ring of buffers that the kernel picks from.
struct Buffers {
    ring: *mut BufRingEntry,
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    fn new() -> Self {
        let entries = usize::from(BUFFERS);
        let mut buffers = Self {
            ring: zeroed(entries * size_of::<BufRingEntry>()).cast(),
            memory: zeroed(entries * BUFFER),
            tail: 0,
        };
        (0..BUFFERS).for_each(|buffer| buffers.give_back(buffer));
        buffers
    }

    fn address(&self, buffer: u16) -> *mut u8 {
        // SAFETY: `memory` has BUFFERS buffers, and the kernel knows no other numbers.
        unsafe { self.memory.add(usize::from(buffer) * BUFFER) }
    }

    fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        // SAFETY: the kernel has written `len` bytes and leaves the buffer alone until it is given
        // back.
        unsafe { std::slice::from_raw_parts(self.address(buffer), len) }
    }

    fn give_back(&mut self, buffer: u16) {
        let address = self.address(buffer) as u64;
        // SAFETY: the index is inside the ring, and the kernel reads an entry only after the tail
        // has passed it.
        unsafe {
            let entry = &mut *self.ring.add(usize::from(self.tail & (BUFFERS - 1)));
            entry.set_addr(address);
            entry.set_len(BUFFER as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.ring).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

fn zeroed(len: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(len, 4096) else { return std::ptr::null_mut() };
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() { handle_alloc_error(layout) } else { memory }
}
