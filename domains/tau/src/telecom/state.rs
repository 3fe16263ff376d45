//! An episode's databases, what both sides look up in them, and how they are kept consistent.

use super::user_schema::PAYMENT_REQUEST;
use super::{agent, user};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::store::Db;
use crate::toolkit::Side;
use crate::world::{Kit, State};
use std::cmp::Ordering;

/// An episode's databases.
#[derive(Clone, Debug)]
pub struct TelecomState {
    pub(super) agent: Db,
    pub(super) user: Db,
    /// Bills made so far. The reference gives them random ids, here they are numbered.
    pub(super) made_bills: u32,
    /// Whether the phone holds the very record of the standard VPN, so that breaking the one breaks the other. In the
    /// reference that record lives as long as the process; here as long as the world.
    pub(super) standard_vpn: bool,
    /// Whether the standard VPN was broken.
    pub(super) vpn_broken: bool,
}

impl State for TelecomState {
    const DOMAIN: &'static str = "telecom";

    fn kit(side: Side) -> Option<&'static Kit<Self>> {
        Some(match side {
            Side::Assistant => &agent::KIT,
            Side::User => &user::KIT,
        })
    }

    fn db(&self, side: Side) -> Option<&Db> {
        Some(match side {
            Side::Assistant => &self.agent,
            Side::User => &self.user,
        })
    }

    fn db_mut(&mut self, side: Side) -> Option<&mut Db> {
        Some(match side {
            Side::Assistant => &mut self.agent,
            Side::User => &mut self.user,
        })
    }

    fn sync(&mut self) -> Outcome<()> {
        let phone = py::get(self.surroundings(), "phone_number").clone();
        if phone == Value::None {
            return Ok(());
        }
        let row = self.line_by_phone(&phone)?;
        let line = self.agent.row("lines", row);
        let active = py::text_of(line, "status") == "Active";
        let roaming = py::get(line, "roaming_enabled").truthy();
        let plan = self.agent.row("plans", self.plan(py::get(line, "plan_id"))?);
        let limit = py::number_of(plan, "data_limit_gb") + py::number_of(line, "data_refueling_gb");
        let used = py::get(line, "data_used_gb").clone();
        self.set_surroundings("line_active", Value::Bool(active));
        self.set_surroundings("roaming_allowed", Value::Bool(roaming));
        let exceeded = compare(&used, ">=", &Value::Float(limit))?;
        self.set_surroundings("mobile_data_usage_exceeded", Value::Bool(exceeded));
        let request = py::get(self.surroundings(), "payment_request");
        if py::flag(request, "paid") {
            let bill = py::get(request, "bill_id").clone();
            let bill = self.bill(&bill)?;
            self.set_bill_status(bill, "Paid");
            self.set_surroundings("payment_request", Value::None);
        }
        if py::get(self.surroundings(), "payment_request").is_none() {
            let customer = self.customer_by_phone(&phone)?;
            if let Some(bill) = self.awaiting_payment(customer)? {
                let bill = self.agent.row("bills", bill);
                let request = PAYMENT_REQUEST.make([
                    ("bill_id", py::get(bill, "bill_id").clone()),
                    ("amount_due", py::get(bill, "total_due").clone()),
                ])?;
                self.set_surroundings("payment_request", request);
            }
        }
        Ok(())
    }

    fn reads(name: &str, _: &[Value]) -> Outcome<Option<&'static str>> {
        // A task that merges data into a database ends in an error in the reference; `sync` is where.
        Ok((name == "sync").then_some("surroundings"))
    }
}

impl TelecomState {
    pub(super) fn new(agent: Db, user: Db) -> Self {
        Self {
            agent,
            user,
            made_bills: 0,
            standard_vpn: false,
            vpn_broken: false,
        }
    }

    pub(super) fn device(&self) -> &Value {
        self.user.row("device", 0)
    }

    pub(super) fn surroundings(&self) -> &Value {
        self.user.row("surroundings", 0)
    }

    /// Set a field of the phone, if it changes.
    pub(super) fn set_device(&mut self, field: &str, value: Value) {
        if !same(py::get(self.device(), field), &value) {
            py::set(self.user.row_mut("device", 0), field, value);
        }
    }

    /// Set a field of the surroundings, if it changes.
    pub(super) fn set_surroundings(&mut self, field: &str, value: Value) {
        if !same(py::get(self.surroundings(), field), &value) {
            py::set(self.user.row_mut("surroundings", 0), field, value);
        }
    }

    pub(super) fn set_bill_status(&mut self, bill: usize, status: &str) {
        py::set(self.agent.row_mut("bills", bill), "status", py::text(status));
    }

    fn by_id(&self, table: &str, field: &str, kind: &str, id: &Value) -> Outcome<usize> {
        match self.agent.rows(table).position(|(_, row)| py::get(row, field) == id) {
            Some(row) => Ok(row),
            None => raise(format!("{kind} with ID {id} not found")),
        }
    }

    pub(super) fn customer(&self, id: &Value) -> Outcome<usize> {
        self.by_id("customers", "customer_id", "Customer", id)
    }

    pub(super) fn line(&self, id: &Value) -> Outcome<usize> {
        self.by_id("lines", "line_id", "Line", id)
    }

    pub(super) fn plan(&self, id: &Value) -> Outcome<usize> {
        self.by_id("plans", "plan_id", "Plan", id)
    }

    pub(super) fn phone(&self, id: &Value) -> Outcome<usize> {
        self.by_id("devices", "device_id", "Device", id)
    }

    pub(super) fn bill(&self, id: &Value) -> Outcome<usize> {
        self.by_id("bills", "bill_id", "Bill", id)
    }

    pub(super) fn line_by_phone(&self, number: &Value) -> Outcome<usize> {
        match self
            .agent
            .rows("lines")
            .position(|(_, line)| py::get(line, "phone_number") == number)
        {
            Some(row) => Ok(row),
            None => raise(format!("Line with phone number {number} not found")),
        }
    }

    pub(super) fn customer_by_phone(&self, number: &Value) -> Outcome<usize> {
        for (row, (_, customer)) in self.agent.rows("customers").enumerate() {
            if py::get(customer, "phone_number") == number {
                return Ok(row);
            }
            for id in py::list_of(customer, "line_ids") {
                if py::get(self.agent.row("lines", self.line(id)?), "phone_number") == number {
                    return Ok(row);
                }
            }
        }
        raise(format!("Customer with phone number {number} not found"))
    }

    /// A customer's line.
    pub(super) fn target_line(&self, customer: &Value, line: &Value) -> Outcome<usize> {
        let row = self.customer(customer)?;
        if !py::list_of(self.agent.row("customers", row), "line_ids").contains(line) {
            return raise(format!("Line {line} not found for customer {customer}"));
        }
        self.line(line)
    }

    /// The first of a customer's bills that awaits payment.
    pub(super) fn awaiting_payment(&self, customer: usize) -> Outcome<Option<usize>> {
        let mut first = None;
        for id in py::list_of(self.agent.row("customers", customer), "bill_ids") {
            let bill = self.bill(id)?;
            if py::text_of(self.agent.row("bills", bill), "status") == "Awaiting Payment" {
                first = first.or(Some(bill));
            }
        }
        Ok(first)
    }
}

/// Whether two values are the same to a database: `1` and `1.0` are not.
fn same(a: &Value, b: &Value) -> bool {
    a.type_name() == b.type_name() && a == b && !matches!(a, Value::List(_) | Value::Dict(_))
}

/// `a OP b` of numbers; a type error of anything else.
pub(super) fn compare(a: &Value, operator: &'static str, b: &Value) -> Outcome<bool> {
    let (Some(x), Some(y)) = (py::number(a), py::number(b)) else {
        return raise(format!(
            "'{operator}' not supported between instances of '{}' and '{}'",
            a.type_name(),
            b.type_name()
        ));
    };
    Ok(match x.partial_cmp(&y) {
        None => false,
        Some(Ordering::Equal) => true,
        Some(order) => (order == Ordering::Greater) == operator.starts_with('>'),
    })
}
