"""CloudWatch alarms over metric math. ministack refuses them; here they are kept, and have no data."""

from ministack.services.cloudformation import provisioners


def install() -> None:
    """Let ministack's alarms take Metrics."""
    provisioners._cw_metric_alarm_record = with_metric_math(provisioners._cw_metric_alarm_record)


def with_metric_math(original):
    """The record of an alarm; one over metric math watches a metric that nobody writes."""
    def record(name, props):
        metrics = props.get("Metrics")
        if not metrics:
            return original(name, props)
        alone = {"Dimensions", "ExtendedStatistic", "MetricName", "Namespace", "Period", "Statistic", "Unit"}
        if alone & props.keys():
            raise ValueError(f"Metrics can't be given together with {', '.join(sorted(alone & props.keys()))}")
        results = [metric["Id"] for metric in metrics if str(metric.get("ReturnData", True)).lower() == "true"]
        if len(results) != 1:
            raise ValueError("Exactly one element of the metrics list should return data")
        rest = {key: value for key, value in props.items() if key != "Metrics"}
        return original(name, {**rest, "Namespace": "metric math", "MetricName": results[0]})
    return record
