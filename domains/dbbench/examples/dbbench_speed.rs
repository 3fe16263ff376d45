//! What it takes to set up, copy and hash databases, and to run a statement: `dbbench_speed DATA FILE`.

use hone_dbbench::{Database, load};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("write dbbench_speed DATA FILE".into());
    };
    let records = load(Path::new(&data), &file)?;
    let tables: Vec<_> = records
        .iter()
        .filter(|record| Database::of(&record.tables).is_ok())
        .map(|record| &record.tables)
        .collect();
    let n = tables.len() as f64;
    let report = |what: &str, start: Instant| println!("{what:<12}{:8.1} µs", start.elapsed().as_secs_f64() * 1e6 / n);
    let start = Instant::now();
    let mut databases = tables
        .iter()
        .map(|tables| Database::of(tables))
        .collect::<Result<Vec<_>, _>>()?;
    report("set up", start);
    let images = databases
        .iter_mut()
        .map(Database::image)
        .collect::<Result<Vec<_>, _>>()?;
    // As episodes come and go: each database is dropped before the next is made.
    let start = Instant::now();
    for image in &images {
        Database::restore(image)?;
    }
    report("restore", start);
    let start = Instant::now();
    for database in &mut databases {
        database.fork()?;
    }
    report("fork", start);
    let start = Instant::now();
    let copies = databases
        .iter_mut()
        .map(Database::fork)
        .collect::<Result<Vec<_>, _>>()?;
    report("many forks", start);
    let start = Instant::now();
    databases
        .iter()
        .map(Database::fingerprint)
        .collect::<Result<Vec<_>, _>>()?;
    report("state hash", start);
    let start = Instant::now();
    let hashes: Vec<_> = databases
        .iter()
        .zip(&tables)
        .map(|(database, tables)| database.hash(tables))
        .collect();
    report("table hash", start);
    let start = Instant::now();
    for (database, tables) in databases.iter_mut().zip(&tables) {
        database.execute(&format!(
            "SELECT COUNT(*) FROM `{}` WHERE `{}` LIKE '%a%'",
            tables[0].name, tables[0].columns[0]
        ));
    }
    report("statement", start);
    assert!(
        copies
            .iter()
            .zip(&tables)
            .zip(&hashes)
            .all(|((copy, tables), hash)| copy.hash(tables) == *hash)
    );
    Ok(())
}
