//! The company's tools: what the model is told, and the ones about customers and lines.

use super::state::{TelecomState, compare};
use super::{assertions, billing};
use crate::py::{self, Value};
use crate::raised::{Outcome, raise};
use crate::toolkit::{Kind, Param, Reply, Shape, Tool, param};
use crate::world::Kit;

/// The day on which everything happens.
pub(super) const TODAY: &str = "2025-02-25";

const CUSTOMER: Param = param("customer_id", Shape::Text, "The customer's id.");
const LINE: Param = param("line_id", Shape::Text, "The line's id; it must be the customer's.");
const BILL: Param = param("bill_id", Shape::Text, "The bill's id; it must be the customer's.");

pub(super) static KIT: Kit<TelecomState> = Kit {
    class: "TelecomTools",
    tools: &[
        Tool::new(
            Kind::Read,
            "get_customer_by_phone",
            "Find a customer by a phone number: the contact's or that of a line.",
            &[param("phone_number", Shape::Text, "The number.")],
            |w, a| {
                Ok(Reply::Record(
                    w.agent.row("customers", w.customer_by_phone(&a[0])?).clone(),
                ))
            },
        ),
        Tool::new(
            Kind::Read,
            "get_customer_by_id",
            "Show a customer.",
            &[CUSTOMER],
            |w, a| Ok(Reply::Record(w.agent.row("customers", w.customer(&a[0])?).clone())),
        ),
        Tool::new(
            Kind::Read,
            "get_customer_by_name",
            "Find customers by name and date of birth; there may be several.",
            &[
                param("full_name", Shape::Text, "First and last name."),
                param("dob", Shape::Text, "Date of birth, as YYYY-MM-DD."),
            ],
            customers_by_name,
        ),
        Tool::new(
            Kind::Read,
            "get_details_by_id",
            "Show whatever has this id: a customer, line, device, bill or plan.",
            &[param("id", Shape::Text, "The id; its first letter says what it is.")],
            details,
        ),
        Tool::new(
            Kind::Write,
            "suspend_line",
            "Suspend an active line, for six months at most.",
            &[CUSTOMER, LINE, param("reason", Shape::Text, "Why.")],
            suspend_line,
        ),
        Tool::new(
            Kind::Write,
            "resume_line",
            "Make a line active again that is suspended or awaits activation.",
            &[CUSTOMER, LINE],
            resume_line,
        ),
        Tool::new(
            Kind::Read,
            "get_bills_for_customer",
            "List a customer's bills, the newest first.",
            &[
                CUSTOMER,
                Param {
                    name: "limit",
                    about: "At most how many.",
                    shape: Shape::Integer,
                    default: Some("12"),
                },
            ],
            billing::list,
        ),
        Tool::new(
            Kind::Write,
            "send_payment_request",
            "Ask the customer to pay a bill. Only one bill at a time can await payment. Whether the bill is paid already \
             is not checked: look first.",
            &[CUSTOMER, BILL],
            billing::request_payment,
        ),
        Tool::new(
            Kind::Read,
            "get_data_usage",
            "Show a line's data usage in this billing cycle, its limit and what was refueled.",
            &[CUSTOMER, LINE],
            data_usage,
        ),
        Tool::new(
            Kind::Write,
            "enable_roaming",
            "Allow a line to roam abroad.",
            &[CUSTOMER, LINE],
            |w, a| roaming(w, a, true),
        ),
        Tool::new(
            Kind::Write,
            "disable_roaming",
            "Forbid a line to roam abroad.",
            &[CUSTOMER, LINE],
            |w, a| roaming(w, a, false),
        ),
        Tool::new(
            Kind::Generic,
            "transfer_to_human_agents",
            "Hand the user over to a human agent. Only for users who ask for one, and for what policy and tools cannot \
             solve.",
            &[param("summary", Shape::Text, "What the user's issue is.")],
            |_, _| Ok(Reply::text("Transfer successful")),
        ),
        Tool::new(
            Kind::Write,
            "refuel_data",
            "Add data to a line; the plan's price per GB goes onto the customer's next bill.",
            &[CUSTOMER, LINE, param("gb_amount", Shape::Number, "How many GB.")],
            refuel,
        ),
    ],
    functions: &[
        Tool::new(Kind::Read, "get_available_plan_ids", "", &[], |w, _| {
            let ids = w.agent.rows("plans").map(|(_, plan)| py::get(plan, "plan_id").clone());
            Ok(Reply::Plain(Value::List(ids.collect())))
        }),
        Tool::new(
            Kind::Write,
            "set_data_usage",
            "",
            &[CUSTOMER, LINE, param("data_used_gb", Shape::Number, "")],
            |w, a| {
                let row = w.target_line(&a[0], &a[1])?;
                py::set(w.agent.row_mut("lines", row), "data_used_gb", a[2].clone());
                Ok(Reply::text(format!("Data usage set to {} GB for line {}", a[2], a[1])))
            },
        ),
        Tool::new(
            Kind::Write,
            "suspend_line_for_overdue_bill",
            "",
            &[
                CUSTOMER,
                LINE,
                param("new_bill_id", Shape::Text, ""),
                param("contract_ended", Shape::Boolean, ""),
            ],
            billing::suspend_for_overdue_bill,
        ),
        Tool::new(
            Kind::Read,
            "assert_data_refueling_amount",
            "",
            &[CUSTOMER, LINE, param("expected_amount", Shape::Number, "")],
            assertions::data_refueling_amount,
        ),
        Tool::new(
            Kind::Read,
            "assert_line_status",
            "",
            &[CUSTOMER, LINE, param("expected_status", Shape::Text, "")],
            assertions::line_status,
        ),
        Tool::new(
            Kind::Read,
            "assert_overdue_bill_exists",
            "",
            &[CUSTOMER, param("overdue_bill_id", Shape::Text, "")],
            assertions::overdue_bill_exists,
        ),
        Tool::new(
            Kind::Read,
            "assert_no_overdue_bill",
            "",
            &[param("overdue_bill_id", Shape::Text, "")],
            assertions::no_overdue_bill,
        ),
    ],
};

fn customers_by_name(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let mut found = vec![];
    for (_, customer) in w.agent.rows("customers") {
        let name = py::text_of(customer, "full_name").to_lowercase();
        if name == py::lower(&a[0])? && *py::get(customer, "date_of_birth") == a[1] {
            found.push(Reply::Record(customer.clone()));
        }
    }
    Ok(Reply::List(found))
}

fn details(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let Some(id) = a[0].as_str() else {
        return crate::raised::no_attribute(&a[0], "startswith");
    };
    let (table, row) = match id.bytes().next() {
        Some(b'L') => ("lines", w.line(&a[0])?),
        Some(b'D') => ("devices", w.phone(&a[0])?),
        Some(b'B') => ("bills", w.bill(&a[0])?),
        Some(b'C') => ("customers", w.customer(&a[0])?),
        Some(b'P') => ("plans", w.plan(&a[0])?),
        _ => return raise(format!("Unknown ID format or type: {id}")),
    };
    Ok(Reply::Record(w.agent.row(table, row).clone()))
}

fn changed_line(message: &'static str, line: &Value) -> Reply {
    Reply::Dict(vec![
        ("message", Reply::text(message)),
        ("line", Reply::Record(line.clone())),
    ])
}

fn suspend_line(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let row = w.target_line(&a[0], &a[1])?;
    if py::text_of(w.agent.row("lines", row), "status") != "Active" {
        return raise("Line must be active to suspend");
    }
    let line = w.agent.row_mut("lines", row);
    py::set(line, "status", py::text("Suspended"));
    py::set(line, "suspension_start_date", py::text(TODAY));
    Ok(changed_line(
        "Line suspended successfully. $5/month holding fee will apply.",
        line,
    ))
}

fn resume_line(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let row = w.target_line(&a[0], &a[1])?;
    if !["Suspended", "Pending Activation"].contains(&py::text_of(w.agent.row("lines", row), "status")) {
        return raise("Line must be suspended to resume");
    }
    let line = w.agent.row_mut("lines", row);
    py::set(line, "status", py::text("Active"));
    py::set(line, "suspension_start_date", Value::None);
    Ok(changed_line("Line resumed successfully", line))
}

fn data_usage(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let line = w.agent.row("lines", w.target_line(&a[0], &a[1])?);
    let plan = w.agent.row("plans", w.plan(py::get(line, "plan_id"))?);
    Ok(Reply::Plain(py::record([
        ("line_id", a[1].clone()),
        ("data_used_gb", py::get(line, "data_used_gb").clone()),
        ("data_limit_gb", py::get(plan, "data_limit_gb").clone()),
        ("data_refueling_gb", py::get(line, "data_refueling_gb").clone()),
        ("cycle_end_date", py::text("2025-02-28")),
    ])))
}

fn roaming(w: &mut TelecomState, a: &[Value], on: bool) -> Outcome<Reply> {
    let row = w.target_line(&a[0], &a[1])?;
    let word = if on { "enabled" } else { "disabled" };
    if py::flag(w.agent.row("lines", row), "roaming_enabled") == on {
        return Ok(Reply::text(format!("Roaming was already {word}")));
    }
    py::set(w.agent.row_mut("lines", row), "roaming_enabled", Value::Bool(on));
    Ok(Reply::text(format!("Roaming {word} successfully")))
}

fn refuel(w: &mut TelecomState, a: &[Value]) -> Outcome<Reply> {
    let row = w.target_line(&a[0], &a[1])?;
    if compare(&a[2], "<=", &Value::from(0))? {
        return raise("Refuel amount must be positive");
    }
    let gb = py::number(&a[2]).unwrap_or_default();
    let line = w.agent.row("lines", row);
    let plan = w.agent.row("plans", w.plan(py::get(line, "plan_id"))?);
    let price = py::get(plan, "data_refueling_price_per_gb").clone();
    let charge = gb * py::number(&price).unwrap_or_default();
    let refueled = Value::Float(py::number_of(line, "data_refueling_gb") + gb);
    py::set(w.agent.row_mut("lines", row), "data_refueling_gb", refueled.clone());
    let what = format!("Data refueling: {} GB at ${price}/GB", a[2]);
    billing::charge(w, &a[0], charge, &what)?;
    let message = format!(
        "Successfully added {} GB of data for line {} for ${charge:.2}",
        a[2], a[1]
    );
    Ok(Reply::Plain(py::record([
        ("message", py::text(message)),
        ("new_data_refueling_gb", refueled),
        ("charge", Value::Float(charge)),
    ])))
}
