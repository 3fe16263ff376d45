//! Bills: listing, paying, charging.

use super::agent::TODAY;
use super::schema::{BILL, LINE_ITEM};
use super::state::TelecomState;
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::Reply;

pub(super) fn list(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let customer = w.agent.row("customers", w.customer(&a[0])?);
    let mut bills = vec![];
    for id in py::list_of(customer, "bill_ids") {
        bills.push(w.agent.row("bills", w.bill(id)?));
    }
    bills.sort_by(|a, b| py::text_of(b, "issue_date").cmp(py::text_of(a, "issue_date")));
    let count = match &a[1] {
        Value::None => bills.len(),
        limit @ (Value::Int(_) | Value::Bool(_)) => match limit.integer().and_then(|n| n.to_i64()) {
            Some(n) if n >= 0 => bills.len().min(n as usize),
            Some(n) => bills.len().saturating_sub(n.unsigned_abs() as usize),
            None => bills.len(),
        },
        _ => return raise("slice indices must be integers or None or have an __index__ method"),
    };
    let shown = bills.into_iter().take(count).map(|bill| Reply::Record(bill.clone()));
    Ok(Reply::List(shown.collect()))
}

pub(super) fn request_payment(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let customer = w.customer(&a[0])?;
    if w.awaiting_payment(customer)?.is_some() {
        return raise("A bill is already awaiting payment for this customer");
    }
    if !py::list_of(w.agent.row("customers", customer), "bill_ids").contains(&a[1]) {
        return raise(format!("Bill {} not found for customer {}", a[1], a[0]));
    }
    let bill = w.bill(&a[1])?;
    w.set_bill_status(bill, "Awaiting Payment");
    Ok(Reply::text(format!(
        "Payment request sent to the customer for bill {}",
        a[1]
    )))
}

/// Whose bill, what status, and the dates of its period, issue and payment.
struct Frame<'a> {
    id: Value,
    customer: &'a Value,
    status: &'static str,
    dates: [&'static str; 4],
}

fn bill(frame: Frame<'_>) -> Outcome<Value> {
    let [start, end, issue, due] = frame.dates;
    BILL.make([
        ("bill_id", frame.id),
        ("customer_id", frame.customer.clone()),
        ("period_start", py::text(start)),
        ("period_end", py::text(end)),
        ("issue_date", py::text(issue)),
        ("total_due", Value::from(0)),
        ("due_date", py::text(due)),
        ("status", py::text(frame.status)),
    ])
}

fn add_item(bill: &mut Value, what: &str, amount: f64, kind: &str) -> Outcome<()> {
    let item = LINE_ITEM.make([
        ("description", py::text(what)),
        ("amount", Value::Float(amount)),
        ("date", py::text(TODAY)),
        ("item_type", py::text(kind)),
    ])?;
    py::append(bill, "line_items", item);
    let total = py::number_of(bill, "total_due") + amount;
    py::set(bill, "total_due", Value::Float(total));
    Ok(())
}

/// Put a charge onto a customer's draft bill; there will be one.
pub(super) fn charge(w: &mut TelecomState, customer: &Value, amount: f64, what: &str) -> Outcome<()> {
    let row = w.customer(customer)?;
    let mut draft = None;
    for id in py::list_of(w.agent.row("customers", row), "bill_ids") {
        let bill = w.bill(id)?;
        if py::text_of(w.agent.row("bills", bill), "status") == "Draft" {
            draft = Some(bill);
            break;
        }
    }
    let draft = match draft {
        Some(bill) => bill,
        None => {
            w.made_bills += 1;
            let id = py::text(format!("B{:08x}", w.made_bills));
            let new = bill(Frame {
                id: id.clone(),
                customer,
                status: "Draft",
                dates: ["2025-03-01", "2025-03-31", "2025-03-01", "2025-03-15"],
            })?;
            w.agent.push("bills", "", new);
            py::append(w.agent.row_mut("customers", row), "bill_ids", id);
            w.agent.len("bills") - 1
        }
    };
    let kind = if amount < 0.0 { "Credit" } else { "Charge" };
    add_item(w.agent.row_mut("bills", draft), what, amount, kind)
}

pub(super) fn suspend_for_overdue_bill(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let line = w.line(&a[1])?;
    if py::text_of(w.agent.row("lines", line), "status") != "Active" {
        return raise("Line must be active to suspend for unpaid bill");
    }
    let plan = w.plan(py::get(w.agent.row("lines", line), "plan_id"))?;
    let amount = py::number_of(w.agent.row("plans", plan), "price_per_month");
    if amount <= 0.0 {
        return raise("Amount must be positive for overdue bill");
    }
    let customer = w.customer(&a[0])?;
    let mut overdue = false;
    for id in py::list_of(w.agent.row("customers", customer), "bill_ids") {
        overdue |= py::text_of(w.agent.row("bills", w.bill(id)?), "status") == "Overdue";
    }
    if overdue {
        return raise("Customer already has an overdue bill");
    }
    let mut new = bill(Frame {
        id: a[2].clone(),
        customer: &a[0],
        status: "Overdue",
        dates: ["2025-01-01", "2025-01-31", "2025-01-01", "2025-01-15"],
    })?;
    add_item(&mut new, &format!("Charge for line {}", a[1]), amount, "Charge")?;
    w.agent.push("bills", "", new);
    py::append(w.agent.row_mut("customers", customer), "bill_ids", a[2].clone());
    let record = w.agent.row_mut("lines", line);
    py::set(record, "status", py::text("Suspended"));
    py::set(record, "suspension_start_date", py::text(TODAY));
    if a[3].truthy() {
        py::set(record, "contract_end_date", py::text("2025-01-31"));
    }
    Ok(Reply::text(format!(
        "Line {} suspended for unpaid bill {}. Contract ended: {}",
        a[1], a[2], a[3]
    )))
}
