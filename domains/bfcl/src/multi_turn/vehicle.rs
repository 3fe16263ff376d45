//! `VehicleControlAPI`: a car.

use super::backend::{Backend, Default, given, tools};
use super::extension::Extension;
use super::operate::{add, binary, dict, div, error, float, ge, gt, is, item, iterate, le, lt, mapping, mul, sub};
use super::raise::Outcome;
use super::random::Random;
use hone_python::{BinaryOp, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// The class's state.
#[derive(Clone)]
pub(super) struct Vehicle {
    fuel_level: Value,
    battery_voltage: Value,
    engine_state: Value,
    unlocked_doors: i64,
    door_status: Value,
    ac_temperature: Value,
    fan_speed: Value,
    ac_mode: Value,
    humidity_level: Value,
    head_light_status: Value,
    parking_brake_status: Value,
    parking_brake_force: Value,
    slope_angle: Value,
    brake_pedal_status: Value,
    brake_pedal_force: Value,
    distance_to_next_vehicle: Value,
    cruise_status: Value,
    destination: Value,
    tire_pressures: [Value; 4],
    random: Random,
    extension: Option<Arc<Extension>>,
}

const TIRES: [&str; 4] = [
    "frontLeftTirePressure",
    "frontRightTirePressure",
    "rearLeftTirePressure",
    "rearRightTirePressure",
];

const DOORS: [&str; 4] = ["driver", "passenger", "rear_left", "rear_right"];

const ZIP_CODES: [(&str, &str); 11] = [
    ("Rivermist", "83214"),
    ("Stonebrook", "74532"),
    ("Maplecrest", "56108"),
    ("Silverpine", "62947"),
    ("Shadowridge", "71354"),
    ("Sunset Valley", "83462"),
    ("Oakendale", "47329"),
    ("Willowbend", "52013"),
    ("Crescent Hollow", "69238"),
    ("Autumnville", "51479"),
    ("San Francisco", "94016"),
];

const DISTANCES: [(&str, &str, f64); 12] = [
    ("83214", "74532", 750.0),
    ("56108", "62947", 320.0),
    ("71354", "83462", 450.0),
    ("47329", "52013", 290.0),
    ("69238", "51479", 630.0),
    ("94016", "83214", 980.0),
    ("94016", "94704", 600.0),
    ("94704", "08540", 2550.0),
    ("94016", "08540", 1950.0),
    ("62947", "47329", 1053.0),
    ("94016", "62947", 780.0),
    ("74532", "94016", 880.0),
];

#[allow(non_snake_case)] // methods have the names of the tools
impl Vehicle {
    pub fn load(scenario: &Value, seed: Option<i64>, extension: Option<&Arc<Extension>>) -> Outcome<Self> {
        let of = |name: &str, default: Value| given(scenario, name, || default);
        let door_status = of(
            "doorStatus",
            DOORS
                .iter()
                .map(|door| (*door, "unlocked"))
                .collect::<hone_python::Dict>()
                .into(),
        );
        let doors = mapping(&door_status, "keys")?;
        let locked = doors.values().filter(|status| is(status, "locked")).count();
        let tire = |i: usize| of(TIRES[i], if i < 2 { 32.0 } else { 30.0 }.into());
        Ok(Self {
            fuel_level: of("fuelLevel", 0.0.into()),
            battery_voltage: of("batteryVoltage", 12.6.into()),
            engine_state: of("engineState", "stopped".into()),
            unlocked_doors: 4 - locked as i64,
            door_status,
            ac_temperature: of("acTemperature", 25.0.into()),
            fan_speed: of("fanSpeed", 50.into()),
            ac_mode: of("acMode", "auto".into()),
            humidity_level: of("humidityLevel", 50.0.into()),
            head_light_status: of("headLightStatus", "off".into()),
            parking_brake_status: of("parkingBrakeStatus", "released".into()),
            parking_brake_force: of("parkingBrakeForce", 0.0.into()),
            slope_angle: of("slopeAngle", 0.0.into()),
            brake_pedal_status: of("brakePedalStatus", "released".into()),
            brake_pedal_force: of("brakePedalForce", 0.0.into()),
            distance_to_next_vehicle: of("distanceToNextVehicle", 50.0.into()),
            cruise_status: of("cruiseStatus", "inactive".into()),
            destination: of("destination", "None".into()),
            tire_pressures: [tire(0), tire(1), tire(2), tire(3)],
            random: Random::new(seed.unwrap_or(141_053)),
            extension: extension.cloned(),
        })
    }

    fn startEngine(&mut self, mode: Value) -> Outcome {
        if is(&mode, "STOP") {
            self.engine_state = "stopped".into();
        }
        if self.unlocked_doors > 0 {
            let doors = mapping(&self.door_status, "items")?.iter();
            let open: Vec<_> = doors
                .filter(|(_, status)| is(status, "unlocked"))
                .map(|(door, _)| door.to_string())
                .collect();
            return error(format!(
                "All doors must be locked before starting the engine. Here are the unlocked doors: {}",
                open.join(", ")
            ));
        }
        if !is(&self.brake_pedal_status, "pressed") {
            return error("Brake pedal needs to be pressed when starting the engine.");
        }
        if self.brake_pedal_force != 1000.0.into() {
            return error("Must press the brake fully before starting the engine.");
        }
        if lt(&self.fuel_level, 0.0)? {
            return error("Fuel tank is empty.");
        }
        if !is(&mode, "START") {
            return error("Invalid ignition mode.");
        }
        self.engine_state = "running".into();
        Ok(dict! {
            "engineState" => self.engine_state.clone(),
            "fuelLevel" => self.fuel_level.clone(),
            "batteryVoltage" => self.battery_voltage.clone(),
        })
    }

    fn fillFuelTank(&mut self, amount: Value) -> Outcome {
        if lt(&amount, 0)? {
            return error("Fuel amount cannot be negative.");
        }
        let level = add(&self.fuel_level, &amount)?;
        if gt(&level, 50)? {
            return error("Cannot fill gas above the tank capacity.");
        }
        if lt(&level, 0.0)? {
            return error("Fuel tank is empty. Min fuel level is 0 gallons.");
        }
        self.fuel_level = level;
        Ok(dict! { "fuelLevel" => self.fuel_level.clone() })
    }

    fn lockDoors(&mut self, unlock: Value, door: Value) -> Outcome {
        let (status, step) = if unlock.truthy() {
            ("unlocked", 1)
        } else {
            ("locked", -1)
        };
        for door in iterate(&door)? {
            if is(item(&self.door_status, &door)?, status) {
                continue;
            }
            if let Value::Dict(doors) = &mut self.door_status {
                doors.insert(door, status.into())?;
            }
            self.unlocked_doors += step;
        }
        Ok(dict! { "lockStatus" => status, "remainingUnlockedDoors" => self.unlocked_doors })
    }

    fn adjustClimateControl(&mut self, temperature: Value, unit: Value, fan_speed: Value, mode: Value) -> Outcome {
        if !(ge_from(0, &fan_speed)? && le(&fan_speed, 100)?) {
            return error("Fan speed must be between 0 and 100.");
        }
        self.ac_temperature = temperature.clone();
        if is(&unit, "fahrenheit") {
            let above = sub(&temperature, &32.into())?;
            self.ac_temperature = div(&mul(&above, &5.into())?, &9.into())?;
        }
        self.fan_speed = fan_speed;
        self.ac_mode = mode.clone();
        Ok(dict! {
            "currentACTemperature" => temperature,
            "climateMode" => mode,
            "humidityLevel" => self.humidity_level.clone(),
        })
    }

    fn get_outside_temperature_from_google(&mut self) -> Outcome {
        let mut weather = match &self.extension {
            Some(extension) => extension.get("LONG_WEATHER_EXTENSION").clone(),
            None => dict! {},
        };
        let temperature = self.random.uniform(-10.0, 40.0);
        if let Value::Dict(weather) = &mut weather {
            weather.set("outsideTemperature", temperature);
        }
        Ok(weather)
    }

    fn get_outside_temperature_from_weather_com(&mut self) -> Outcome {
        Ok(dict! { "error" => 404 })
    }

    fn setHeadlights(&mut self, mode: Value) -> Outcome {
        let status = match mode.as_str() {
            Some("on") => "on",
            Some("off" | "auto") => "off",
            _ => return error("Invalid headlight mode."),
        };
        self.head_light_status = status.into();
        Ok(dict! { "headlightStatus" => status })
    }

    fn displayCarStatus(&mut self, option: Value) -> Outcome {
        let mut status = hone_python::Dict::new();
        if let Some(extension) = &self.extension {
            status.set("metadata", extension.get("CAR_STATUS_METADATA_EXTENSION").clone());
        }
        let shown: &[(&str, &Value)] = match option.as_str().unwrap_or_default() {
            "fuel" => &[("fuelLevel", &self.fuel_level)],
            "battery" => &[("batteryVoltage", &self.battery_voltage)],
            "doors" => &[("doorStatus", &self.door_status)],
            "climate" => &[
                ("currentACTemperature", &self.ac_temperature),
                ("fanSpeed", &self.fan_speed),
                ("climateMode", &self.ac_mode),
                ("humidityLevel", &self.humidity_level),
            ],
            "headlights" => &[("headlightStatus", &self.head_light_status)],
            "parkingBrake" => &[
                ("parkingBrakeStatus", &self.parking_brake_status),
                ("parkingBrakeForce", &self.parking_brake_force),
                ("slopeAngle", &self.slope_angle),
            ],
            "brakePedal" => &[
                ("brakePedalStatus", &self.brake_pedal_status),
                ("brakePedalForce", &self.brake_pedal_force),
            ],
            "engine" => &[("engineState", &self.engine_state)],
            _ => {
                status.set("error", "Invalid option");
                &[]
            }
        };
        shown
            .iter()
            .for_each(|(name, value)| status.set(*name, (*value).clone()));
        Ok(status.into())
    }

    fn activateParkingBrake(&mut self, mode: Value) -> Outcome {
        let (status, force) = match mode.as_str() {
            Some("engage") => ("engaged", 500.0),
            Some("release") => ("released", 0.0),
            _ => return error("Invalid mode"),
        };
        self.parking_brake_status = status.into();
        self.parking_brake_force = force.into();
        self.slope_angle = 10.0.into();
        let mut result = hone_python::Dict::new();
        if let Some(extension) = &self.extension {
            result.set(
                "parkingBrakeInstruction",
                extension.get("PARKING_BRAKE_INSTRUCTION").clone(),
            );
        }
        result.set("parkingBrakeStatus", status);
        result.set("_parkingBrakeForce", force);
        result.set("_slopeAngle", 10.0);
        Ok(result.into())
    }

    fn pressBrakePedal(&mut self, position: Value) -> Outcome {
        if !(ge_from(0, &position)? && le(&position, 1)?) {
            return error("Pedal position must be between 0 and 1.");
        }
        if position == 0.into() {
            return self.releaseBrakePedal();
        }
        let force = mul(&position, &1000.into())?;
        self.brake_pedal_status = "pressed".into();
        self.brake_pedal_force = force.clone();
        Ok(dict! { "brakePedalStatus" => "pressed", "brakePedalForce" => float(&force)? })
    }

    fn releaseBrakePedal(&mut self) -> Outcome {
        self.brake_pedal_status = "released".into();
        self.brake_pedal_force = 0.0.into();
        Ok(dict! { "brakePedalStatus" => "released", "brakePedalForce" => 0.0 })
    }

    fn setCruiseControl(&mut self, speed: Value, activate: Value, distance: Value) -> Outcome {
        let distance = float(&distance)?;
        let speed = float(&speed)?;
        if is(&self.engine_state, "stopped") {
            return error("Start the engine before activating the cruise control.");
        }
        self.distance_to_next_vehicle = distance.into();
        let status = if activate.truthy() {
            let step = binary(BinaryOp::Mod, &speed.into(), &5.into())?;
            if !(0.0..=120.0).contains(&speed) || step != 0.into() {
                return error("Invalid speed");
            }
            "active"
        } else {
            "inactive"
        };
        self.cruise_status = status.into();
        Ok(dict! { "cruiseStatus" => status, "currentSpeed" => speed, "distanceToNextVehicle" => distance })
    }

    fn get_current_speed(&mut self) -> Outcome {
        Ok(dict! { "currentSpeed" => self.random.uniform(0.0, 120.0) })
    }

    fn display_log(&mut self, messages: Value) -> Outcome {
        Ok(dict! { "log" => messages })
    }

    fn estimate_drive_feasibility_by_mileage(&mut self, distance: Value) -> Outcome {
        let range = mul(&self.fuel_level, &20.0.into())?;
        Ok(dict! { "canDrive" => !lt(&range, distance)? })
    }

    fn liter_to_gallon(&mut self, liter: Value) -> Outcome {
        Ok(dict! { "gallon" => mul(&liter, &0.264172.into())? })
    }

    fn gallon_to_liter(&mut self, gallon: Value) -> Outcome {
        Ok(dict! { "liter" => mul(&gallon, &3.78541.into())? })
    }

    fn estimate_distance(&mut self, a: Value, b: Value) -> Outcome {
        let joins = |(x, y, _): &&(&str, &str, f64)| (is(&a, x) && is(&b, y)) || (is(&a, y) && is(&b, x));
        let mut result = hone_python::Dict::new();
        match DISTANCES.iter().find(joins) {
            Some((_, _, distance)) => result.set("distance", *distance),
            None => result.set("error", "distance not found in database."),
        }
        if let Some(extension) = &self.extension {
            result.set("intermediaryCities", extension.get("INTERMEDIARY_CITIES").clone());
        }
        Ok(result.into())
    }

    fn get_zipcode_based_on_city(&mut self, city: Value) -> Outcome {
        let found = ZIP_CODES.iter().find(|(name, _)| is(&city, name));
        Ok(dict! { "zipcode" => found.map_or("00000", |(_, code)| *code) })
    }

    fn set_navigation(&mut self, destination: Value) -> Outcome {
        self.destination = destination;
        Ok(dict! { "status" => add(&"Navigating to ".into(), &self.destination)? })
    }

    fn check_tire_pressure(&mut self) -> Outcome {
        let [a, b, c, d] = &self.tire_pressures;
        let mean = div(&add(&add(&add(a, b)?, c)?, d)?, &4.into())?;
        let healthy = ge(&mean, 30)? && le(&mean, 35)?;
        let mut status = hone_python::Dict::new();
        for (name, pressure) in TIRES.iter().zip(&self.tire_pressures) {
            status.set(*name, pressure.clone());
        }
        status.set("healthy_tire_pressure", healthy);
        let info = self
            .extension
            .as_ref()
            .map(|e| e.get("CAR_STATUS_METADATA_EXTENSION").clone());
        status.set("car_info", info.unwrap_or_else(|| dict! {}));
        Ok(status.into())
    }

    fn find_nearest_tire_shop(&mut self) -> Outcome {
        Ok(dict! { "shopLocation" => "456 Oakwood Avenue, Rivermist, 83214" })
    }
}

/// `low <= value`, with Python's order of the operands.
fn ge_from(low: i64, value: &Value) -> Outcome<bool> {
    le(&low.into(), value.clone())
}

impl Backend for Vehicle {
    tools! {
        "VehicleControlAPI",
        startEngine(ignitionMode),
        fillFuelTank(fuelAmount),
        lockDoors(unlock, door),
        adjustClimateControl(
            temperature,
            unit = Default::Text("celsius"),
            fanSpeed = Default::Int(50),
            mode = Default::Text("auto")
        ),
        get_outside_temperature_from_google(),
        get_outside_temperature_from_weather_com(),
        setHeadlights(mode),
        displayCarStatus(option),
        activateParkingBrake(mode),
        pressBrakePedal(pedalPosition),
        releaseBrakePedal(),
        setCruiseControl(speed, activate, distanceToNextVehicle),
        get_current_speed(),
        display_log(messages),
        estimate_drive_feasibility_by_mileage(distance),
        liter_to_gallon(liter),
        gallon_to_liter(gallon),
        estimate_distance(cityA, cityB),
        get_zipcode_based_on_city(city),
        set_navigation(destination),
        check_tire_pressure(),
        find_nearest_tire_shop(),
    }

    fn attributes(&self) -> Vec<(&'static str, Cow<'_, Value>)> {
        let mut all = vec![
            ("fuelLevel", Cow::Borrowed(&self.fuel_level)),
            ("batteryVoltage", Cow::Borrowed(&self.battery_voltage)),
            ("engine_state", Cow::Borrowed(&self.engine_state)),
            ("remainingUnlockedDoors", Cow::Owned(self.unlocked_doors.into())),
            ("doorStatus", Cow::Borrowed(&self.door_status)),
            ("acTemperature", Cow::Borrowed(&self.ac_temperature)),
            ("fanSpeed", Cow::Borrowed(&self.fan_speed)),
            ("acMode", Cow::Borrowed(&self.ac_mode)),
            ("humidityLevel", Cow::Borrowed(&self.humidity_level)),
            ("headLightStatus", Cow::Borrowed(&self.head_light_status)),
            ("parkingBrakeStatus", Cow::Borrowed(&self.parking_brake_status)),
            ("brakePedalStatus", Cow::Borrowed(&self.brake_pedal_status)),
            ("distanceToNextVehicle", Cow::Borrowed(&self.distance_to_next_vehicle)),
            ("cruiseStatus", Cow::Borrowed(&self.cruise_status)),
            ("destination", Cow::Borrowed(&self.destination)),
        ];
        all.extend(
            TIRES
                .iter()
                .zip(&self.tire_pressures)
                .map(|(name, value)| (*name, Cow::Borrowed(value))),
        );
        all.push(("long_context", Cow::Owned(self.extension.is_some().into())));
        all
    }
}
