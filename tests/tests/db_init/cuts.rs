//! The connection is cut at each message that db-init sends: by somebody on the way, who reads what is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use stage::mysql::{MysqlServer, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{ask, db_init, migration};

/// Where to cut: at the message of this number that says this, before it arrives or after.
#[derive(Clone, Copy, Debug)]
struct Cut {
    saying: &'static str,
    number: usize,
    arrives: bool,
}

/// A way to the server that is cut once. Its port, and the messages so far that said it.
async fn way(server: &MysqlServer, cut: Cut) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (address, said) = (("127.0.0.1", server.port()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&said);
    tokio::spawn(async move {
        while let Ok((visitor, _)) = listener.accept().await {
            let line = TcpStream::connect(address).await.unwrap();
            tokio::spawn(pass(visitor, line, cut, Arc::clone(&count)));
        }
    });
    (port, said)
}

async fn pass(visitor: TcpStream, line: TcpStream, cut: Cut, said: Arc<AtomicUsize>) {
    let (mut from_visitor, mut to_visitor) = visitor.into_split();
    let (mut from_line, mut to_line) = line.into_split();
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = from_visitor.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let says = String::from_utf8_lossy(&up[..length]).contains(cut.saying);
                let is_here = says && said.fetch_add(1, Ordering::SeqCst) + 1 == cut.number;
                if (is_here && !cut.arrives) || to_line.write_all(&up[..length]).await.is_err() {
                    return;
                }
                if is_here {
                    // The server does it, and nobody gets the answer.
                    let _ = from_line.read(&mut down).await;
                    return;
                }
            }
            read = from_line.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if to_visitor.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What comes of two migrations in a fresh database when the way there is cut.
async fn outcome(server: &MysqlServer, database: &str, cut: Cut) -> Result<(), String> {
    let (port, said) = way(server, cut).await;
    let first = migration(1, "first", "CREATE TABLE t (id INT); INSERT INTO t VALUES (1)");
    let second = migration(2, "second", "INSERT INTO t VALUES (2)");
    let properties = json!({
        "Database": database, "Port": port, "SslMode": "DISABLED", "SslCa": null, "Migrations": [first, second],
    });
    let done = db_init(server, properties).await;
    assert!(said.load(Ordering::SeqCst) >= cut.number, "{cut:?}: nobody said that");
    let is_there = format!("SHOW TABLES FROM `{database}` LIKE 't'");
    let rows = match ask(server, &is_there).await.as_slice() {
        [] => Vec::new(),
        _ => ask(server, &format!("SELECT id FROM `{database}`.t ORDER BY id")).await,
    };
    match done {
        Ok(done) => {
            assert_eq!(done.get("SchemaVersion"), Some("2"), "{cut:?}");
            assert_eq!(rows, ["1", "2"], "{cut:?}");
            Ok(())
        }
        Err(error) => {
            assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "{cut:?}: applied twice: {rows:?}");
            Err(format!("{error:#}"))
        }
    }
}

/// A server without TLS, which has seen the master's password: MySQL wants it itself unless it has.
async fn plain() -> MysqlServer {
    let options = Options { authority: None, ..Options::default() };
    let server = MysqlServer::start(options).await.unwrap();
    server.connect().await.unwrap();
    server
}

#[tokio::test]
async fn a_connection_that_is_lost_where_nothing_was_sent_is_made_up_for() {
    let server = plain().await;
    let history = "sluice_schema_history";
    // The history is read and made before each migration, and written after it.
    let of_history = [1, 2, 3, 5, 6].map(|number| (history, number));
    let others =
        ["GET_LOCK", "SHOW GLOBAL VARIABLES", "rds_set", "CREATE DATABASE", "USE `", "START", "Questions"];
    let all = others.map(|saying| (saying, 1)).into_iter().chain(of_history);
    for (index, (saying, number)) in all.enumerate() {
        for arrives in [false, true] {
            let cut = Cut { saying, number, arrives };
            let outcome = outcome(&server, &format!("db {index} {arrives}"), cut).await;
            assert_eq!(outcome, Ok(()), "{cut:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_after_a_migration_was_sent_is_looked_into() {
    let server = plain().await;
    let entry = "sluice_schema_history";
    for (index, (saying, number, arrives, told)) in [
        ("INSERT INTO t VALUES (1)", 1, false, "no answer to a statement of it had arrived"),
        ("INSERT INTO t VALUES (1)", 1, true, "no answer to a statement of it had arrived"),
        ("INSERT INTO t VALUES (2)", 1, true, "no answer to a statement of it had arrived"),
        (entry, 4, false, "its entry in the history is not there"),
        // A change of the schema ends the transaction, so that the entry is there at once.
        (entry, 4, true, ""),
        (entry, 7, false, "its entry in the history is not there"),
        (entry, 7, true, "its entry in the history is not there"),
        ("COMMIT", 1, false, ""),
        ("COMMIT", 2, false, "its entry in the history is not there"),
        ("COMMIT", 2, true, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let cut = Cut { saying, number, arrives };
        let outcome = outcome(&server, &format!("db {index}"), cut).await;
        match outcome {
            Ok(()) => assert_eq!(told, "", "{cut:?}"),
            Err(reason) => {
                assert!(
                    reason.starts_with("applying migration V") && reason.contains("look at the database"),
                    "{reason}"
                );
                assert!(!told.is_empty() && reason.contains(told), "{cut:?}: {reason}");
            }
        }
    }
}
