# Alarms and dashboard, without a cloud: `terraform test`.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment  = "test"
  packages_dir = "./tests/fixtures/packages"
  schemas_dir  = "./tests/fixtures/schemas"
}

run "alarms_follow_from_the_contracts" {
  command = plan

  assert {
    condition     = keys(local.ingest_alarms.delivery-stale.series) == ["pos", "stock", "web"]
    error_message = "Every source's delivery should have an alarm."
  }
  assert {
    condition     = length(setsubtract(["conform-lag", "function-errors-load", "dead-letter-queue-dirty", "executions-failed-silver-to-gold", "kpi-latency"], module.alarms[0].names)) == 0
    error_message = "Streams, functions, dead-letter queues, executions and KPIs should have alarms."
  }
}

run "every_alarm_publishes_to_the_topic" {
  command = plan

  variables {
    prefix    = "shoplake-test"
    topic_arn = "arn:aws:sns:us-east-1:000000000000:alerts"
    alarms = {
      rate = {
        group               = "ingest"
        title               = "Rate"
        description         = "Too much."
        threshold           = 5
        datapoints_to_alarm = 2
        evaluation_periods  = 3
        series = {
          web = {
            math = "100 * wrong / all"
            metrics = {
              wrong = { namespace = "N", name = "W", stat = "Sum", dimensions = { D = "web" } }
              all   = { namespace = "N", name = "A", stat = "Sum", dimensions = { D = "web" } }
            }
          }
        }
      }
      age = {
        group           = "ingest"
        title           = "Age"
        description     = "Too old."
        threshold       = 1
        below_threshold = true
        missing_data    = "breaching"
        series          = { "" = { math = null, metrics = { age = { namespace = "N", name = "G", stat = "Maximum", dimensions = {} } } } }
      }
    }
  }
  module {
    source = "./modules/alarms"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["age", "rate-web"]
    error_message = "There should be one alarm for each series."
  }
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this :
      alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:000000000000:alerts"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "Every alarm should publish when it begins and when it ends."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length([for query in alarm.metric_query : query if query.return_data == true]) == 1])
    error_message = "Exactly one query should return data for the threshold."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["rate-web"].datapoints_to_alarm == 2 && aws_cloudwatch_metric_alarm.this["rate-web"].evaluation_periods == 3
    error_message = "2 of the last 3 periods."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["age"].comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.this["age"].treat_missing_data == "breaching"
    error_message = "Missing data should be breaching where it is set so."
  }
}

run "graph_shows_several_series" {
  command = plan

  variables {
    name       = "test"
    region     = "us-east-1"
    alarm_arns = ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"]
    groups     = [{ name = "one", title = "One" }, { name = "two", title = "Two" }]
    panels = [
      {
        group     = "one"
        title     = "Rate"
        threshold = 5
        series = { for name in ["crm", "web"] : name => {
          math = "IF(all >= 9, 100 * wrong / all, 0)"
          metrics = {
            wrong = { namespace = "N", name = "W", stat = "Sum", dimensions = { D = name } }
            all   = { namespace = "N", name = "A", stat = "Sum", dimensions = { D = name } }
          }
        } }
      },
      { group = "one", title = "B", series = {} },
      { group = "one", title = "C", series = {} },
      { group = "one", title = "D", series = {} },
      { group = "two", title = "E", series = { "" = { math = "SEARCH('x', 'Sum')" } } },
    ]
  }
  module {
    source = "./modules/dashboard"
  }

  assert {
    condition = [for line in local.lines["Rate"] : try(line[0].expression, line[1])] == [
      "A", "W", "IF(all0 >= 9, 100 * wrong0 / all0, 0)", "A", "W", "IF(all1 >= 9, 100 * wrong1 / all1, 0)",
    ]
    error_message = "Metric ids should be unique on a graph."
  }
  assert {
    condition     = local.lines["E"][0][0].expression == "SEARCH('x', 'Sum')"
    error_message = "A search expression should not change."
  }
  assert {
    condition     = local.tops == [4, 17] && [for graph in local.graphs : [graph.x, graph.y]] == [[0, 5], [8, 5], [16, 5], [0, 11], [0, 18]]
    error_message = "Three graphs to a row, each group below the previous one."
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 8
    error_message = "Alarms, two headings and five graphs."
  }
}

run "more_than_100_alarms_are_in_two_widgets" {
  command = plan

  variables {
    name   = "test"
    region = "us-east-1"
    alarm_arns = [
      "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a", "a",
      "b",
    ]
    groups = [{ name = "one", title = "One" }]
    panels = []
  }
  module {
    source = "./modules/dashboard"
  }

  assert {
    condition = [for widget in local.alarms : [widget.y, length(widget.properties.alarms), widget.properties.title]] == [
      [0, 100, "Alarms"], [4, 1, "Alarms (2)"],
    ]
    error_message = "A widget shows at most 100 alarms."
  }
  assert {
    condition     = local.tops == [8]
    error_message = "Graphs are below all alarms."
  }
}

run "graph_of_unknown_group_is_rejected" {
  command = plan

  variables {
    name       = "test"
    region     = "us-east-1"
    alarm_arns = []
    groups     = [{ name = "one", title = "One" }]
    panels     = [{ group = "two", title = "E", series = {} }]
  }
  module {
    source = "./modules/dashboard"
  }
  expect_failures = [var.panels]
}
