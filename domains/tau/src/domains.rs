//! The domains of a data folder.

use crate::airline::Airline;
use crate::mock::Mock;
use crate::py::Value;
use crate::raised::Raised;
use crate::retail::Retail;
use crate::task::Task;
use crate::task::{DataError, load_splits, load_tasks, read};
use crate::telecom::Telecom;
use crate::toml_file;
use crate::world::World;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of the domains.
pub const DOMAINS: &[&str] = &["mock", "retail", "telecom", "airline"];

/// Loaded domains. Each is loaded once; its worlds share the database.
#[derive(Debug)]
pub struct Domains {
    folder: PathBuf,
    mock: Result<Mock, DataError>,
    retail: Result<Retail, DataError>,
    telecom: Result<Telecom, DataError>,
    airline: Result<Airline, DataError>,
}

impl Domains {
    /// Load what a folder holds; it has a folder for each domain, as `data/tau2/domains` of tau2-bench does. A domain
    /// whose database is missing or broken is reported when it is asked for. Where the airline has no database of its own,
    /// it is made out of τ-bench's three files in `airline_parts`.
    pub fn load(folder: &Path, airline_parts: &Path) -> Self {
        Self {
            mock: mock(&folder.join("mock")),
            retail: retail(&folder.join("retail")),
            telecom: telecom(&folder.join("telecom")),
            airline: airline(&folder.join("airline"), airline_parts),
            folder: folder.to_owned(),
        }
    }

    /// A fresh world of a domain.
    ///
    /// # Errors
    /// When there is no such domain or its data cannot be used.
    pub fn world(&self, domain: &str) -> Result<Box<dyn World>, DataError> {
        let file = self.folder.join(domain);
        let broken = |raised| misfit(&file, raised);
        match domain {
            "mock" => Ok(Box::new(got(&self.mock)?.world().map_err(broken)?)),
            "retail" => Ok(Box::new(got(&self.retail)?.world().map_err(broken)?)),
            "telecom" => Ok(Box::new(got(&self.telecom)?.world().map_err(broken)?)),
            "airline" => Ok(Box::new(got(&self.airline)?.world().map_err(broken)?)),
            _ => Err(DataError {
                file: file.display().to_string(),
                what: format!("there is no domain {domain:?}"),
                remedy: "take one of mock, retail, telecom, airline",
            }),
        }
    }

    /// A domain's tasks, in the file's order.
    ///
    /// # Errors
    /// When its file is missing or broken.
    pub fn tasks(&self, domain: &str) -> Result<Vec<Task>, DataError> {
        let folder = self.folder.join(domain);
        match load_tasks(&folder.join("tasks.json")) {
            Err(_) if folder.join("tasks_small.json").exists() => load_tasks(&folder.join("tasks_small.json")),
            tasks => tasks,
        }
    }

    /// A domain's splits: names and task ids.
    ///
    /// # Errors
    /// When its file is missing or broken.
    pub fn splits(&self, domain: &str) -> Result<BTreeMap<String, Vec<String>>, DataError> {
        load_splits(&self.folder.join(domain).join("split_tasks.json"))
    }
}

fn got<T>(domain: &Result<T, DataError>) -> Result<&T, DataError> {
    domain.as_ref().map_err(Clone::clone)
}

fn misfit(file: &Path, raised: Raised) -> DataError {
    DataError {
        file: file.display().to_string(),
        what: raised.0,
        remedy: "take the file of tau2-bench as it is",
    }
}

fn json(file: &Path) -> Result<Value, DataError> {
    hone_python::loads(&read(file)?).map_err(|error| misfit(file, Raised(error.to_string())))
}

fn mock(folder: &Path) -> Result<Mock, DataError> {
    let (agent, user) = (folder.join("db.json"), folder.join("user_db.json"));
    Mock::load(&json(&agent)?, &json(&user)?).map_err(|raised| misfit(folder, raised))
}

fn retail(folder: &Path) -> Result<Retail, DataError> {
    let file = folder.join("db.json");
    Retail::load(&json(&file)?).map_err(|raised| misfit(&file, raised))
}

fn toml(file: &Path) -> Result<Value, DataError> {
    toml_file::read(&read(file)?).map_err(|error| misfit(file, Raised(error)))
}

fn telecom(folder: &Path) -> Result<Telecom, DataError> {
    let (agent, user) = (folder.join("db.toml"), folder.join("user_db.toml"));
    Telecom::load(&toml(&agent)?, &toml(&user)?).map_err(|raised| misfit(folder, raised))
}

fn airline(folder: &Path, parts: &Path) -> Result<Airline, DataError> {
    let whole = folder.join("db.json");
    if whole.exists() {
        return Airline::load(&json(&whole)?).map_err(|raised| misfit(&whole, raised));
    }
    let part = |name: &str| json(&parts.join(name));
    let (flights, users, reservations) = (part("flights.json")?, part("users.json")?, part("reservations.json")?);
    Airline::from_parts(flights, users, reservations).map_err(|raised| misfit(parts, raised))
}
