"""Tests of `python -m trax_hourglass.plot_schedule`, run in process."""

import pytest

from trax_hourglass import plot_schedule


def plot(capsys, path, *argv):
  """Returns what the command prints about the rate."""
  plot_schedule.main(['plot_schedule', *argv, f'--output={path}'])
  out, err = capsys.readouterr()
  assert not err
  assert path.read_bytes().startswith(b'\x89PNG')
  peak, end, output = out.splitlines()
  assert output.split() == ['output', str(path)]
  return peak, end


@pytest.mark.parametrize(
  ('name', 'peak', 'end'),
  [
    ('enwik8', '4.000e-04 at step 20,000', '0.000e+00 at step 350,000'),
    ('imagenet32', '4.942e-04 at step 8,000', '0.000e+00 at step 470,000'),
    ('imagenet64', '3.494e-04 at step 8,000', '5.705e-05 at step 300,000'),
    (
      'table1/2x1_8x3_2x1',
      '4.000e-04 at step 4,000',
      '3.947e-07 at step 200,000',
    ),
    ('table7/cifar10_linear', '1.000e-03 at step 5,000', ''),
    ('authors/hourglass_imagenet32', '4.942e-04 at step 8,000', '6.989e-05'),
    ('quickstart', '1.000e-02 at step 120', ''),
  ],
)
def test_states_peak_and_end(capsys, tmp_path, name, peak, end):
  lines = plot(capsys, tmp_path / 'rate.png', f'--config_file={name}.gin')
  assert lines[0].split(maxsplit=1) == ['peak', peak]
  assert lines[1].split(maxsplit=1)[0] == 'end'
  assert end in lines[1]


def test_says_which_steps_are_at_rate_zero(capsys, tmp_path):
  arguments = '--config_file=quickstart.gin', '--config=train.steps = 100000'
  plot_schedule.main(
    ['plot_schedule', *arguments, f'--output={tmp_path / "rate.png"}']
  )
  lines = capsys.readouterr().out.splitlines()
  assert lines[1:3] == [
    'end       0.000e+00 at step 100,000',
    'zero      at steps 2,415 to 100,000',
  ]


def test_the_suffix_says_what_is_written(tmp_path):
  path = tmp_path / 'rate.svg'
  plot_schedule.main(
    ['plot_schedule', '--config_file=quickstart.gin', f'--output={path}']
  )
  assert path.read_text().startswith('<?xml')


def test_draws_every_step_of_a_short_run_and_not_each_of_a_long_one():
  assert plot_schedule.learning_rates(float, 1) == [(1, 1.0)]
  assert len(plot_schedule.learning_rates(float, 1000)) == 1000
  curve = plot_schedule.learning_rates(float, 1015)
  assert curve[:3] == [(1, 1.0), (10, 10.0), (20, 20.0)]
  assert curve[-2:] == [(1010, 1010.0), (1015, 1015.0)]
