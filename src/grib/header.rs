//! A field's header under ecCodes' key names, for people and for comparisons with `grib_ls`.

use std::borrow::Cow;

use serde::Serialize;

use super::error::Result;
use super::grib1::{self, NumberKind};
use super::grib2;
use super::key::{FieldKey, ParameterNumbers, StepType, is_numbered_by_bottom};
use super::names;
use super::octets::u16_at;
use super::sections::FieldSections;
use super::template::Block;
use super::time::{CivilTime, StepUnit, grib2_unit_seconds, range_text, step_text};

/// What ecCodes says of a field, without its grid, packing and values.
///
/// `None` (not serialised): the field does not have the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct FieldHeader {
    pub edition: u8,
    /// ecCodes' abbreviation (`ecmf`, `kwbc`); the number when it has none.
    pub centre: Cow<'static, str>,
    pub sub_centre: u16,
    pub short_name: Cow<'static, str>,
    pub param_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discipline: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_category: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_number: Option<u8>,
    #[serde(rename = "table2Version", skip_serializing_if = "Option::is_none")]
    pub table2_version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicator_of_parameter: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_of_level: Option<&'static str>,
    /// Rounded to a whole number, as ecCodes does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<i64>,
    /// YYYYMMDD.
    pub data_date: i64,
    /// HHMM.
    pub data_time: i64,
    /// `h`, `m` or `s`: the unit of the three steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_units: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_step: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_step: Option<i64>,
    pub step_type: Cow<'static, str>,
    /// YYYYMMDD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_date: Option<i64>,
    /// HHMM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perturbation_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_forecasts_in_ensemble: Option<u32>,
    /// Code table 4.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived_forecast: Option<u8>,
    /// Code table 4.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_value_of_lower_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled_value_of_upper_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentile_value: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables_version: Option<u8>,
    /// GRIB 2: code table 4.0. GRIB 1: the template that says the same, as ecCodes chooses it.
    pub product_definition_template_number: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_definition_template_number: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_representation_template_number: Option<u16>,
}

impl FieldHeader {
    /// Reads the header of a field.
    ///
    /// # Errors
    /// Those of [`FieldKey::from_sections`].
    pub fn from_sections(sections: &FieldSections<'_>) -> Result<Self> {
        let key = FieldKey::from_sections(sections)?;
        let mut header = FieldHeader {
            edition: key.edition,
            centre: names::centre(key.centre).map_or_else(|| Cow::Owned(key.centre.to_string()), Cow::Borrowed),
            sub_centre: key.sub_centre,
            short_name: key.names.map_or(Cow::Borrowed("unknown"), |names| Cow::Borrowed(names.short_name)),
            param_id: key.names.map_or(0, |names| names.param_id),
            step_type: key.step_type.ec_codes_name(),
            ..FieldHeader::default()
        };
        match key.parameter {
            ParameterNumbers::Grib2 { discipline, category, number, tables_version, .. } => {
                header.discipline = Some(discipline);
                header.parameter_category = Some(category);
                header.parameter_number = Some(number);
                header.tables_version = Some(tables_version);
                header.fill_grib2(&grib2::Product::new(sections)?, &key);
            }
            ParameterNumbers::Grib1 { table2_version, indicator } => {
                header.table2_version = Some(table2_version);
                header.indicator_of_parameter = Some(indicator);
                header.fill_grib1(&grib1::Product::new(sections)?, &key);
            }
        }
        Ok(header)
    }

    fn fill_grib1(&mut self, product: &grib1::Product<'_>, key: &FieldKey) {
        self.type_of_level = Some(key.type_of_level);
        self.level = Some(i64::from(product.level().level()));
        self.data_date = product.data_date();
        self.data_time = product.data_time();
        let start = key.step_start.unwrap_or(key.step);
        // Hours, unless the message counts in shorter units and the step is not whole hours.
        self.fill_steps(start, key.step, StepUnit::of(start, key.step), key.step_range());
        self.fill_validity(key);
        let numbers = product.numbers();
        self.number = numbers.number;
        if numbers.kind == NumberKind::Member {
            self.perturbation_number = numbers.number;
            self.number_of_forecasts_in_ensemble = numbers.total;
        }
        if numbers.kind == NumberKind::Iteration {
            self.number_of_forecasts_in_ensemble = numbers.total;
        }
        self.probability_type = product.ncep_probability().map(|(kind, _)| kind);
        self.product_definition_template_number = grib1_product_template(product, key);
    }

    fn fill_grib2(&mut self, product: &grib2::Product<'_>, key: &FieldKey) {
        let identification = product.identification();
        self.data_date = identification.data_date();
        self.data_time = identification.data_time();
        let is_over_reference_times = product.time_ranges().last().is_some_and(|range| range.increment == 1);
        if key.step_type == StepType::Average && is_over_reference_times && identification.octet(9) < 33 {
            // ecCodes has this name for master tables before its version 33 only.
            self.step_type = Cow::Borrowed("avgd");
        }
        self.type_of_level = product.type_of_level();
        self.level = product.surfaces().map(|(first, second)| {
            let by_bottom = is_numbered_by_bottom(2, (first.kind, second.kind));
            if by_bottom { second } else { first }.ec_codes_level(product.is_tigge())
        });
        if let Some((unit, _)) = product.forecast_time() {
            let start = key.step_start.unwrap_or(key.step);
            let range_unit =
                product.time_ranges().last().map_or(0, |range| grib2_unit_seconds(range.unit).unwrap_or(0));
            // A step of 0 keeps the (longer) unit in which it is coded, if that is shorter than an hour.
            let unit = match grib2_unit_seconds(unit).unwrap_or(3600).max(range_unit) {
                ..60 if start == 0 && key.step == 0 => StepUnit::Second,
                ..3600 if start == 0 && key.step == 0 => StepUnit::Minute,
                _ => StepUnit::of(start, key.step),
            };
            self.fill_steps(start, key.step, unit, range_text(start, key.step, |seconds| step_text(seconds, unit)));
            match product.interval_end() {
                Some((year, [month, day, hour, minute, _])) => {
                    self.validity_date = Some(i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day));
                    self.validity_time = Some(i64::from(hour) * 100 + i64::from(minute));
                }
                None => self.fill_validity(key),
            }
        }
        if let Some((number, total)) = product.ensemble() {
            self.number = Some(number);
            self.perturbation_number = Some(number);
            self.number_of_forecasts_in_ensemble = Some(total);
        }
        if let Some((code, total)) = product.derived_forecast() {
            self.derived_forecast = Some(code);
            self.number_of_forecasts_in_ensemble = Some(total);
            self.number = product.cluster().map(u32::from);
        }
        if let Some(probability) = product.probability() {
            self.probability_type = Some(probability.kind);
            self.scaled_value_of_lower_limit = probability.lower.value;
            self.scaled_value_of_upper_limit = probability.upper.value;
            self.number_of_forecasts_in_ensemble = probability.ensemble_size;
        }
        self.percentile_value = product.octet(Block::Percentile, 0);
        self.product_definition_template_number = product.template;
        self.grid_definition_template_number = u16_at(product.sections.grid, 12);
        self.data_representation_template_number = u16_at(product.sections.representation, 9);
    }

    fn fill_steps(&mut self, start: i64, end: i64, unit: StepUnit, range: String) {
        self.step_units = Some(unit.abbreviation());
        self.step_range = Some(range);
        self.start_step = Some(start / unit.seconds());
        self.end_step = Some(end / unit.seconds());
    }

    fn fill_validity(&mut self, key: &FieldKey) {
        if let Some(time) = key.time {
            let civil = CivilTime::from_seconds_since_1970(time.saturating_add(key.step));
            self.validity_date = Some(civil.year * 10_000 + i64::from(civil.month) * 100 + i64::from(civil.day));
            self.validity_time = Some(i64::from(civil.hour) * 100 + i64::from(civil.minute));
        }
    }
}

/// ecCodes' alias `productDefinitionTemplateNumber` of GRIB 1: 0 and 8 for points and intervals in time, 1 and 11 for
/// members of ensembles, 2 and 12 for their means, 5 and 9 for probabilities, 99 for wave spectra.
fn grib1_product_template(product: &grib1::Product<'_>, key: &FieldKey) -> u16 {
    let instant = key.step_type == StepType::Instant;
    let choose = |point: u16, interval: u16| if instant { point } else { interval };
    let numbers = product.numbers();
    let has_ensemble = numbers.total.is_some_and(|total| total > 0);
    let is_mean = matches!(product.octet(43), 17 | 18);
    match product.local_definition() {
        Some(5) => {
            if matches!(product.time_range_indicator(), 3 | 4) {
                9
            } else {
                5
            }
        }
        Some(13) => 99,
        Some(1 | 30 | 36) if is_mean => choose(2, 12),
        Some(15 | 18 | 26 | 30 | 218) => choose(1, 11),
        _ if has_ensemble && numbers.kind == NumberKind::Member => choose(1, 11),
        _ => choose(0, 8),
    }
}

#[cfg(test)]
pub(crate) mod tests;
