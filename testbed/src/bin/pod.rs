//! What pods of the test bed's own tests run.
//!
//! - `pod serve PORT`: answers every HTTP request with 200 until SIGTERM
//! - `pod connect ADDRESS:PORT`: says `connected`, or how that failed within 2 s
//! - `pod allocate MIB`: takes that much memory, and serves nothing until SIGTERM
//! - `pod describe`: says as whom it runs, and where it may write

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["serve", port] => serve(port),
        ["connect", address] => {
            println!("{}", connect(address));
            Ok(())
        }
        ["allocate", mebibytes] => allocate(mebibytes),
        ["describe"] => {
            describe();
            Ok(())
        }
        _ => Err("usage: pod serve PORT | connect ADDRESS:PORT | allocate MIB | describe".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: &str) -> Result<(), Box<dyn std::error::Error>> {
    // The first process of a container ends by SIGTERM only if it says so.
    std::thread::spawn(ended_by_sigterm);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.parse()?))?;
    println!("serving on {port}");
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut request = [0; 4096];
        // A client that goes away again is none of ours.
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    Ok(())
}

fn ended_by_sigterm() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        runtime.block_on(async {
            let terminate = tokio::signal::unix::SignalKind::terminate();
            if let Ok(mut told) = tokio::signal::unix::signal(terminate) {
                told.recv().await;
                std::process::exit(0);
            }
        });
    }
}

fn connect(address: &str) -> String {
    let resolved = match address.to_socket_addrs() {
        Ok(mut addresses) => addresses.next(),
        Err(error) => return format!("unresolved: {error}"),
    };
    let Some(resolved) = resolved else {
        return "unresolved: no address".to_owned();
    };
    match TcpStream::connect_timeout(&resolved, Duration::from_secs(2)) {
        Ok(_) => "connected".to_owned(),
        Err(error) => format!("failed: {:?}", error.kind()),
    }
}

fn allocate(mebibytes: &str) -> Result<(), Box<dyn std::error::Error>> {
    // Written to, or the kernel would only promise it.
    let memory = vec![1_u8; mebibytes.parse::<usize>()? << 20];
    println!("allocated {} bytes", memory.len());
    ended_by_sigterm();
    Ok(())
}

fn describe() {
    println!("user {}", rustix::process::geteuid().as_raw());
    let writable = std::fs::write("/written", "").is_ok();
    println!("root {}", if writable { "writable" } else { "read-only" });
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = ["CapEff:", "NoNewPrivs:", "Seccomp:"];
    for line in status
        .lines()
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)))
    {
        println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
