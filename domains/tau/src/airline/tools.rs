//! The airline's tools, as the model is told of them.

use super::{AirlineState, book, change, search};
use crate::calculate::calculate;
use crate::py;
use crate::toolkit::{Kind, Param, Reply, Shape, Tool, param};
use crate::world::Kit;

const USER: Param = param("user_id", Shape::Text, "The user's id, such as 'sara_doe_496'.");
const RESERVATION: Param = param("reservation_id", Shape::Text, "The reservation's id, such as '8JX2WO'.");
const ORIGIN: Param = param("origin", Shape::Text, "Airport code of the start, such as 'JFK'.");
const DESTINATION: Param = param("destination", Shape::Text, "Airport code of the goal, such as 'LAX'.");
const DATE: Param = param("date", Shape::Text, "The day, as YYYY-MM-DD, such as '2024-05-01'.");
const CABIN: Param = param(
    "cabin",
    Shape::OneOf(&["business", "economy", "basic_economy"]),
    "The cabin class.",
);
const FLIGHTS: Param = param(
    "flights",
    Shape::Json(
        r##"{"type": "array", "items": {"anyOf": [
            {"$ref": "#/$defs/FlightInfo"}, {"additionalProperties": true, "type": "object"}]}}"##,
    ),
    "Every flight of the whole reservation, those that stay included.",
);
const PASSENGERS: Param = param(
    "passengers",
    Shape::Json(
        r##"{"type": "array", "items": {"anyOf": [
            {"$ref": "#/$defs/Passenger"}, {"additionalProperties": true, "type": "object"}]}}"##,
    ),
    "Every passenger.",
);
const PAYMENTS: Param = param(
    "payment_methods",
    Shape::Json(
        r##"{"type": "array", "items": {"anyOf": [
            {"$ref": "#/$defs/Payment"}, {"additionalProperties": true, "type": "object"}]}}"##,
    ),
    "What is paid by which of the user's payment methods.",
);
const TOTAL_BAGS: Param = param("total_baggages", Shape::Integer, "How many bags in all.");
const PAID_BAGS: Param = param("nonfree_baggages", Shape::Integer, "How many of the bags are paid for.");
const METHOD: Param = param(
    "payment_id",
    Shape::Text,
    "Which of the user's payment methods pays or is refunded, such as 'credit_card_7815826' or 'gift_card_7815826'.",
);

macro_rules! flight_info {
    () => {
        r#""FlightInfo": {"title": "FlightInfo", "type": "object", "required": ["flight_number", "date"], "properties": {
            "flight_number": {"title": "Flight Number", "type": "string", "description": "Such as 'HAT001'."},
            "date": {"title": "Date", "type": "string", "description": "As YYYY-MM-DD, such as '2024-05-01'."}}}"#
    };
}

macro_rules! passenger {
    () => {
        r#""Passenger": {"title": "Passenger", "type": "object", "required": ["first_name", "last_name", "dob"],
            "properties": {
            "first_name": {"title": "First Name", "type": "string"},
            "last_name": {"title": "Last Name", "type": "string"},
            "dob": {"title": "Dob", "type": "string", "description": "Date of birth, as YYYY-MM-DD."}}}"#
    };
}

const BOOK_DEFS: &str = concat!(
    "{",
    flight_info!(),
    ",",
    passenger!(),
    r#", "Payment": {"title": "Payment", "type": "object", "required": ["payment_id", "amount"], "properties": {
        "payment_id": {"title": "Payment Id", "type": "string", "description": "Which payment method."},
        "amount": {"title": "Amount", "type": "integer", "description": "How many dollars."}}}}"#
);

pub(super) static AGENT: Kit<AirlineState> = Kit {
    class: "AirlineTools",
    tools: &[
        Tool::new(
            Kind::Write,
            "book_reservation",
            "Book a trip. The payments must add up to the price.",
            &[
                USER,
                ORIGIN,
                DESTINATION,
                param(
                    "flight_type",
                    Shape::OneOf(&["round_trip", "one_way"]),
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
            book::book,
        )
        .with_defs(BOOK_DEFS),
        Tool::new(
            Kind::Generic,
            "calculate",
            "Compute an arithmetic expression.",
            &[param(
                "expression",
                Shape::Text,
                "Numbers, the operators + - * /, parentheses and spaces, such as '2 + 2'.",
            )],
            |_, a| calculate(&a[0]),
        ),
        Tool::new(
            Kind::Write,
            "cancel_reservation",
            "Cancel a whole reservation and refund it.",
            &[RESERVATION],
            change::cancel,
        ),
        Tool::new(
            Kind::Read,
            "get_reservation_details",
            "Show a reservation.",
            &[RESERVATION],
            |w, a| Ok(Reply::Record(w.db.row("reservations", w.reservation(&a[0])?).clone())),
        ),
        Tool::new(
            Kind::Read,
            "get_user_details",
            "Show a user, with payment methods and reservations.",
            &[USER],
            |w, a| Ok(Reply::Record(w.db.row("users", w.user(&a[0])?).clone())),
        ),
        Tool::new(
            Kind::Read,
            "list_all_airports",
            "List the airports: code and city of each.",
            &[],
            |_, _| {
                let airports = AIRPORTS.iter().map(|(code, city)| {
                    Reply::Record(py::record([("iata", py::text(*code)), ("city", py::text(*city))]))
                });
                Ok(Reply::List(airports.collect()))
            },
        ),
        Tool::new(
            Kind::Read,
            "search_direct_flight",
            "Find direct flights between two airports on a day.",
            &[ORIGIN, DESTINATION, DATE],
            search::direct,
        ),
        Tool::new(
            Kind::Read,
            "search_onestop_flight",
            "Find pairs of flights that connect two airports on a day with one stop.",
            &[ORIGIN, DESTINATION, DATE],
            search::one_stop,
        ),
        Tool::new(
            Kind::Write,
            "send_certificate",
            "Give a user a certificate. Be careful.",
            &[USER, param("amount", Shape::Integer, "How many dollars.")],
            change::certificate,
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
            "update_reservation_baggages",
            "Change a reservation's bags.",
            &[RESERVATION, TOTAL_BAGS, PAID_BAGS, METHOD],
            change::baggages,
        ),
        Tool::new(
            Kind::Write,
            "update_reservation_flights",
            "Change a reservation's flights or cabin.",
            &[RESERVATION, CABIN, FLIGHTS, METHOD],
            change::flights,
        )
        .with_defs(concat!("{", flight_info!(), "}")),
        Tool::new(
            Kind::Write,
            "update_reservation_passengers",
            "Change who travels; their number stays.",
            &[RESERVATION, PASSENGERS],
            change::passengers,
        )
        .with_defs(concat!("{", passenger!(), "}")),
        Tool::new(
            Kind::Read,
            "get_flight_status",
            "Look up a flight's status on a day.",
            &[
                param("flight_number", Shape::Text, "The flight, such as 'HAT001'."),
                DATE,
            ],
            |w, a| Ok(Reply::text(py::text_of(w.flight_on(&a[0], &a[1])?.1, "status"))),
        ),
    ],
    functions: &[],
};

const AIRPORTS: &[(&str, &str)] = &[
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
