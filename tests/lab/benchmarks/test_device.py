import platform

from trax_hourglass.lab.benchmarks import device, operations

INTEL = """
processor	: 0
model name	: Intel(R) Xeon(R) Processor @ 2.10GHz
siblings	: 8
cpu cores	: 4
flags		: fpu sse4_2 avx avx2 avx512f amx_tile

processor	: 1
model name	: Intel(R) Xeon(R) Processor @ 2.10GHz
siblings	: 8
cpu cores	: 4
flags		: fpu sse4_2 avx avx2 avx512f amx_tile
"""
ARM = """
processor	: 0
Features	: fp asimd crc32 sve
"""


def test_cpu_by_what_its_speed_depends_on(monkeypatch, tmp_path):
  monkeypatch.setattr(platform, 'processor', lambda: 'a processor')
  monkeypatch.setattr(device.os, 'cpu_count', lambda: 2)
  path = tmp_path / 'cpuinfo'
  for text, expected in {
    INTEL: 'Intel(R) Xeon(R) Processor @ 2.10GHz, AVX2, AVX-512, AMX, threads '
    'per core: 2, CPUs: 2',
    ARM: 'a processor, NEON, SVE, CPUs: 2',
  }.items():
    path.write_text(text)
    assert device.cpu(str(path)) == expected
  assert device.cpu(str(tmp_path / 'missing')) == 'a processor, CPUs: 2'


def test_peak_is_printed_with_the_cpu(monkeypatch, capsys):
  monkeypatch.setattr(operations, 'matrix_product_rate', lambda: 113e9)
  monkeypatch.setattr(device, 'cpu', lambda: 'EPYC, AVX2, CPUs: 2')
  assert operations.printed_peak() == 113e9
  printed = 'EPYC, AVX2, CPUs: 2: products of 2048 x 2048 matrices at 113 '
  assert capsys.readouterr().out.startswith(printed)
