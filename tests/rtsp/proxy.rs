//! What may happen between a camera and who watches it: a proxy that passes everything on until it is told not to.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// Counted is what came from the camera, since the fault began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// Connections are taken, and nothing is said on them.
    Silence,
    /// The connection ends behind so many bytes.
    CutAfter(usize),
    /// It stays, and nothing more comes through it, in both directions.
    HalfOpenAfter(usize),
    /// Of RTP packets one in so many does not arrive.
    Lose(u32),
    /// Each piece comes so much later.
    Delay(Duration),
    /// Pieces of so many bytes, with so much between them.
    Throttle(usize, Duration),
}

/// Listens on a port of its own.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    camera: u16,
    fault: Fault,
    /// One count for each change of the fault.
    change: u64,
    refuses: bool,
    /// Connections that were taken in silence.
    silent: u64,
    connections: Vec<TcpStream>,
}

impl Proxy {
    /// Before the camera at that port.
    pub fn before(camera: u16) -> Self {
        let state = State { camera, fault: Fault::None, change: 0, refuses: false, silent: 0, connections: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = Some(accept(listener, shared.clone()));
        Self { port, shared, acceptor }
    }

    pub fn uri(&self, path: &str) -> String {
        format!("rtspt://127.0.0.1:{}/{path}", self.port)
    }

    /// From now on, on all connections.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.lock();
        state.fault = fault;
        state.change += 1;
        self.shared.changed.notify_all();
    }

    /// Another camera is there.
    pub fn lead_to(&self, camera: u16) {
        self.shared.lock().camera = camera;
    }

    /// Until somebody has connected to [`Fault::Silence`].
    pub fn wait_for_silence(&self) {
        drop(self.shared.changed.wait_while(self.shared.lock(), |state| state.silent == 0).unwrap());
    }

    /// Ends all connections.
    pub fn cut(&self) {
        let connections = std::mem::take(&mut self.shared.lock().connections);
        connections.iter().for_each(end);
        self.shared.changed.notify_all();
    }

    /// Nobody listens any more, until [`Proxy::listen`].
    pub fn refuse(&mut self) {
        self.shared.lock().refuses = true;
        // Wakes who waits for a connection.
        _ = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
        self.cut();
    }

    pub fn listen(&mut self) {
        self.shared.lock().refuses = false;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        self.acceptor = Some(accept(listener, self.shared.clone()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Fault::None);
        self.refuse();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn fault(&self) -> (Fault, u64) {
        let state = self.lock();
        (state.fault, state.change)
    }

    /// Until another fault is set.
    fn wait_for_change(&self, change: u64) {
        drop(self.changed.wait_while(self.lock(), |state| state.change == change && !state.refuses).unwrap());
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let mut state = shared.lock();
            if state.refuses {
                return;
            }
            state.connections.push(client.try_clone().unwrap());
            if state.fault == Fault::Silence {
                state.silent += 1;
                shared.changed.notify_all();
                continue;
            }
            let Ok(camera) = TcpStream::connect((Ipv4Addr::LOCALHOST, state.camera)) else {
                end(&client);
                continue;
            };
            state.connections.push(camera.try_clone().unwrap());
            drop(state);
            let (from_client, to_camera) = (client.try_clone().unwrap(), camera.try_clone().unwrap());
            let pump = shared.clone();
            thread::spawn(move || pass(from_client, to_camera, &pump, false));
            let pump = shared.clone();
            thread::spawn(move || pass(camera, client, &pump, true));
        }
    })
}

fn end(connection: &TcpStream) {
    _ = connection.shutdown(Shutdown::Both);
}

/// One direction of a connection, until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, from_camera: bool) {
    let mut piece = [0; 4096];
    let mut passed = 0;
    let mut of_change = 0;
    let mut packets = Packets::default();
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let bytes = &piece[..read];
        let (fault, change) = shared.fault();
        if change != of_change {
            (of_change, passed) = (change, 0);
        }
        let sent = match fault {
            Fault::CutAfter(limit) if from_camera && passed + read > limit => {
                _ = to.write_all(&bytes[..limit - passed]);
                break;
            }
            Fault::Silence => {
                shared.wait_for_change(change);
                break;
            }
            Fault::HalfOpenAfter(limit) if !from_camera || passed + read > limit => {
                if from_camera {
                    _ = to.write_all(&bytes[..limit - passed]);
                }
                shared.wait_for_change(change);
                break;
            }
            // Whole packets only, whatever the fault is, so that it may begin at any time.
            Fault::Lose(one_in) if from_camera => packets.pass(bytes, &mut to, Some(one_in)),
            _ if from_camera => slowly(bytes, fault, |part| packets.pass(part, &mut to, None)),
            _ => to.write_all(bytes),
        };
        if sent.is_err() {
            break;
        }
        passed += read;
    }
    end(&from);
    end(&to);
}

/// The link is slow: these are the only waits here, and nobody counts them.
fn slowly(bytes: &[u8], fault: Fault, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    match fault {
        Fault::Delay(delay) => {
            thread::sleep(delay);
            send(bytes)
        }
        Fault::Throttle(size, pause) => bytes.chunks(size).try_for_each(|part| {
            thread::sleep(pause);
            send(part)
        }),
        _ => send(bytes),
    }
}

/// RTP packets between the answers of an RTSP server: `$`, the channel, the length in two bytes (RFC 2326, 10.12).
#[derive(Default)]
struct Packets {
    /// Not yet a whole packet.
    rest: Vec<u8>,
    seen: u32,
}

impl Packets {
    /// Sends what is whole. One RTP packet in `lose` is left out.
    fn pass(&mut self, bytes: &[u8], to: &mut TcpStream, lose: Option<u32>) -> std::io::Result<()> {
        self.rest.extend_from_slice(bytes);
        let mut whole = Vec::new();
        loop {
            let length = match self.rest.as_slice() {
                [b'$', _, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
                [b'$', ..] | [] => break,
                // An answer, up to the next packet.
                other => other.iter().position(|&byte| byte == b'$').unwrap_or(other.len()),
            };
            if self.rest.len() < length {
                break;
            }
            let packet: Vec<_> = self.rest.drain(..length).collect();
            // RTCP goes through odd channels.
            let is_rtp = matches!(packet.as_slice(), [b'$', channel, ..] if channel % 2 == 0);
            self.seen += u32::from(is_rtp);
            if !is_rtp || lose.is_none_or(|one_in| !self.seen.is_multiple_of(one_in)) {
                whole.extend(packet);
            }
        }
        to.write_all(&whole)
    }
}
