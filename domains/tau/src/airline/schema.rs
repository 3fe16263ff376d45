//! The airline's records.

use crate::model::{Default, Model, Type, optional, required};

const CABINS: &[&str] = &["business", "economy", "basic_economy"];
const PER_CABIN: Type = Type::Keyed(CABINS, &Type::Int);

static NAME: Model = Model {
    name: "Name",
    strict: false,
    fields: &[required("first_name", Type::Str), required("last_name", Type::Str)],
};

static ADDRESS: Model = Model {
    name: "Address",
    strict: false,
    fields: &[
        required("address1", Type::Str),
        optional("address2", Type::Optional(&Type::Str), Default::None),
        required("city", Type::Str),
        required("country", Type::Str),
        required("state", Type::Str),
        required("zip", Type::Str),
    ],
};

/// A payment; a negative amount is a refund.
pub(super) static PAYMENT: Model = Model {
    name: "Payment",
    strict: false,
    fields: &[required("payment_id", Type::Str), required("amount", Type::Int)],
};

static CREDIT_CARD: Model = Model {
    name: "CreditCard",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["credit_card"])),
        required("id", Type::Str),
        required("brand", Type::Str),
        required("last_four", Type::Str),
    ],
};

static GIFT_CARD: Model = Model {
    name: "GiftCard",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["gift_card"])),
        required("id", Type::Str),
        required("amount", Type::Float),
    ],
};

/// A voucher.
pub(super) static CERTIFICATE: Model = Model {
    name: "Certificate",
    strict: false,
    fields: &[
        required("source", Type::Literal(&["certificate"])),
        required("id", Type::Str),
        required("amount", Type::Float),
    ],
};

/// Someone who travels.
pub(super) static PASSENGER: Model = Model {
    name: "Passenger",
    strict: false,
    fields: &[
        required("first_name", Type::Str),
        required("last_name", Type::Str),
        required("dob", Type::Str),
    ],
};

static AVAILABLE: Model = Model {
    name: "FlightDateStatusAvailable",
    strict: false,
    fields: &[
        required("status", Type::Literal(&["available"])),
        required("available_seats", PER_CABIN),
        required("prices", PER_CABIN),
    ],
};

static LANDED: Model = Model {
    name: "FlightDateStatusLanded",
    strict: false,
    fields: &[
        required("status", Type::Literal(&["landed"])),
        required("actual_departure_time_est", Type::Str),
        required("actual_arrival_time_est", Type::Str),
    ],
};

static CANCELLED: Model = Model {
    name: "FlightDateStatusCancelled",
    strict: false,
    fields: &[required("status", Type::Literal(&["cancelled"]))],
};

static DELAYED: Model = Model {
    name: "FlightDateStatusDelayed",
    strict: false,
    fields: &[
        required("status", Type::Literal(&["delayed"])),
        required("estimated_departure_time_est", Type::Str),
        required("estimated_arrival_time_est", Type::Str),
    ],
};

static FLYING: Model = Model {
    name: "FlightDataStatusFlying",
    strict: false,
    fields: &[
        required("status", Type::Literal(&["flying"])),
        required("actual_departure_time_est", Type::Str),
        required("estimated_arrival_time_est", Type::Str),
    ],
};

static ON_TIME: Model = Model {
    name: "FlightDataStatusOnTime",
    strict: false,
    fields: &[
        required("status", Type::Literal(&["on time"])),
        required("estimated_departure_time_est", Type::Str),
        required("estimated_arrival_time_est", Type::Str),
    ],
};

static FLIGHT: Model = Model {
    name: "Flight",
    strict: false,
    fields: &[
        required("flight_number", Type::Str),
        required("origin", Type::Str),
        required("destination", Type::Str),
        required("scheduled_departure_time_est", Type::Str),
        required("scheduled_arrival_time_est", Type::Str),
        required(
            "dates",
            Type::Dict(&Type::Union(&[
                &AVAILABLE, &LANDED, &CANCELLED, &DELAYED, &FLYING, &ON_TIME,
            ])),
        ),
    ],
};

/// A flight of a reservation.
pub(super) static RESERVED_FLIGHT: Model = Model {
    name: "ReservationFlight",
    strict: false,
    fields: &[
        required("flight_number", Type::Str),
        required("origin", Type::Str),
        required("destination", Type::Str),
        required("date", Type::Str),
        required("price", Type::Int),
    ],
};

/// A flight as the agent names it.
pub(super) static FLIGHT_INFO: Model = Model {
    name: "FlightInfo",
    strict: false,
    fields: &[required("flight_number", Type::Str), required("date", Type::Str)],
};

static USER: Model = Model {
    name: "User",
    strict: false,
    fields: &[
        required("user_id", Type::Str),
        required("name", Type::Model(&NAME)),
        required("address", Type::Model(&ADDRESS)),
        required("email", Type::Str),
        required("dob", Type::Str),
        required(
            "payment_methods",
            Type::Dict(&Type::Union(&[&CREDIT_CARD, &GIFT_CARD, &CERTIFICATE])),
        ),
        required("saved_passengers", Type::List(&Type::Model(&PASSENGER))),
        required("membership", Type::Literal(&["gold", "silver", "regular"])),
        required("reservations", Type::List(&Type::Str)),
    ],
};

/// A reservation.
pub(super) static RESERVATION: Model = Model {
    name: "Reservation",
    strict: false,
    fields: &[
        required("reservation_id", Type::Str),
        required("user_id", Type::Str),
        required("origin", Type::Str),
        required("destination", Type::Str),
        required("flight_type", Type::Literal(&["round_trip", "one_way"])),
        required("cabin", Type::Literal(CABINS)),
        required("flights", Type::List(&Type::Model(&RESERVED_FLIGHT))),
        required("passengers", Type::List(&Type::Model(&PASSENGER))),
        required("payment_history", Type::List(&Type::Model(&PAYMENT))),
        required("created_at", Type::Str),
        required("total_baggages", Type::Int),
        required("nonfree_baggages", Type::Int),
        required("insurance", Type::Literal(&["yes", "no"])),
        optional("status", Type::Optional(&Type::Literal(&["cancelled"])), Default::None),
    ],
};

/// The database.
pub(super) static DB: Model = Model {
    name: "FlightDB",
    strict: true,
    fields: &[
        required("flights", Type::Dict(&Type::Model(&FLIGHT))),
        required("users", Type::Dict(&Type::Model(&USER))),
        required("reservations", Type::Dict(&Type::Model(&RESERVATION))),
    ],
};
