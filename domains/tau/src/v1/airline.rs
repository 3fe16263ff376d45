//! The airline's tools as τ-bench has them.

mod booking;
mod change;
mod search;

use super::Domain;
use super::tool::{CALCULATE, HAND_OVER, THINK, Tool, tool};
use super::world::row;
use crate::py;
use crate::toolkit::{Kind, Param, Shape, param};

/// The airline.
pub(super) static AIRLINE: Domain = Domain {
    name: "airline",
    about: "Serve an airline's customers by its policy, in conversation with a simulated user (τ-bench).",
    tables: &["flights", "reservations", "users"],
    tools: &TOOLS,
};

const USER: Param = param("user_id", Shape::Text, "The user's id, such as 'sara_doe_496'.");
const RESERVATION: Param = param("reservation_id", Shape::Text, "The reservation's id, such as 'ZFA04Y'.");
const ORIGIN: Param = param("origin", Shape::Text, "Airport code of the start, such as 'JFK'.");
const DESTINATION: Param = param("destination", Shape::Text, "Airport code of the goal, such as 'LAX'.");
const DATE: Param = param("date", Shape::Text, "The day, as YYYY-MM-DD, such as '2024-05-01'.");
const CABIN: Param = param(
    "cabin",
    Shape::OneOf(&["basic_economy", "economy", "business"]),
    "The cabin class.",
);
const FLIGHTS: Param = param(
    "flights",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["flight_number", "date"], "properties": {
            "flight_number": {"type": "string", "description": "Such as 'HAT001'."},
            "date": {"type": "string", "description": "As YYYY-MM-DD."}}}}"#,
    ),
    "Every flight of the whole reservation, those that stay included.",
);
const PASSENGERS: Param = param(
    "passengers",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["first_name", "last_name", "dob"], "properties": {
            "first_name": {"type": "string"}, "last_name": {"type": "string"},
            "dob": {"type": "string", "description": "Date of birth, as YYYY-MM-DD."}}}}"#,
    ),
    "Every passenger.",
);
const PAYMENTS: Param = param(
    "payment_methods",
    Shape::Json(
        r#"{"type": "array", "items": {"type": "object", "required": ["payment_id", "amount"], "properties": {
            "payment_id": {"type": "string", "description": "Which payment method of the user's."},
            "amount": {"type": "number", "description": "How much it pays."}}}}"#,
    ),
    "What is paid by which of the user's payment methods.",
);
const TOTAL_BAGS: Param = param("total_baggages", Shape::Integer, "How many bags in all.");
const PAID_BAGS: Param = param("nonfree_baggages", Shape::Integer, "How many of the bags are paid for.");
const METHOD: Param = param(
    "payment_id",
    Shape::Text,
    "Which of the user's payment methods pays or is refunded.",
);

/// All of them, in the reference's order.
static TOOLS: [Tool; 14] = [
    tool(
        Kind::Write,
        "book_reservation",
        "BookReservation",
        "Book a trip.",
        &[
            USER,
            ORIGIN,
            DESTINATION,
            param(
                "flight_type",
                Shape::OneOf(&["one_way", "round_trip"]),
                "Whether the trip goes back.",
            ),
            CABIN,
            FLIGHTS,
            PASSENGERS,
            PAYMENTS,
            TOTAL_BAGS,
            PAID_BAGS,
            param(
                "insurance",
                Shape::OneOf(&["yes", "no"]),
                "Whether the trip is insured.",
            ),
        ],
        booking::book,
    ),
    CALCULATE,
    tool(
        Kind::Write,
        "cancel_reservation",
        "CancelReservation",
        "Cancel a whole reservation.",
        &[RESERVATION],
        change::cancel,
    ),
    tool(
        Kind::Read,
        "get_reservation_details",
        "GetReservationDetails",
        "Look a reservation up.",
        &[RESERVATION],
        |w, a| {
            let found = row(w.table("reservations"), &a[0])?;
            Ok(found.map_or("Error: user not found".to_owned(), |found| py::dumps(found, false)))
        },
    ),
    tool(
        Kind::Read,
        "get_user_details",
        "GetUserDetails",
        "Look a user up, with their reservations.",
        &[USER],
        |w, a| {
            let found = row(w.table("users"), &a[0])?;
            Ok(found.map_or("Error: user not found".to_owned(), |found| py::dumps(found, false)))
        },
    ),
    tool(
        Kind::Read,
        "list_all_airports",
        "ListAllAirports",
        "List the airports with their cities.",
        &[],
        |_, _| {
            let airports = AIRPORTS.map(|(code, city)| (code, py::text(city)));
            Ok(py::dumps(&py::record(airports), false))
        },
    ),
    tool(
        Kind::Read,
        "search_direct_flight",
        "SearchDirectFlight",
        "Find direct flights between two cities on a day.",
        &[ORIGIN, DESTINATION, DATE],
        search::direct,
    ),
    tool(
        Kind::Read,
        "search_onestop_flight",
        "SearchOnestopFlight",
        "Find flights with one stop between two cities on a day.",
        &[ORIGIN, DESTINATION, DATE],
        search::one_stop,
    ),
    tool(
        Kind::Write,
        "send_certificate",
        "SendCertificate",
        "Send a user a certificate. Be careful.",
        &[USER, param("amount", Shape::Number, "Its worth.")],
        change::certificate,
    ),
    THINK,
    HAND_OVER,
    tool(
        Kind::Write,
        "update_reservation_baggages",
        "UpdateReservationBaggages",
        "Change the bags of a reservation.",
        &[RESERVATION, TOTAL_BAGS, PAID_BAGS, METHOD],
        change::baggages,
    ),
    tool(
        Kind::Write,
        "update_reservation_flights",
        "UpdateReservationFlights",
        "Change the flights of a reservation.",
        &[RESERVATION, CABIN, FLIGHTS, METHOD],
        change::flights,
    ),
    tool(
        Kind::Write,
        "update_reservation_passengers",
        "UpdateReservationPassengers",
        "Change the passengers of a reservation.",
        &[RESERVATION, PASSENGERS],
        change::passengers,
    ),
];

const AIRPORTS: [(&str, &str); 20] = [
    ("SFO", "San Francisco"),
    ("JFK", "New York"),
    ("LAX", "Los Angeles"),
    ("ORD", "Chicago"),
    ("DFW", "Dallas"),
    ("DEN", "Denver"),
    ("SEA", "Seattle"),
    ("ATL", "Atlanta"),
    ("MIA", "Miami"),
    ("BOS", "Boston"),
    ("PHX", "Phoenix"),
    ("IAH", "Houston"),
    ("LAS", "Las Vegas"),
    ("MCO", "Orlando"),
    ("EWR", "Newark"),
    ("CLT", "Charlotte"),
    ("MSP", "Minneapolis"),
    ("DTW", "Detroit"),
    ("PHL", "Philadelphia"),
    ("LGA", "LaGuardia"),
];
