"""Gin files of the form of the authors' five, with the values that they state.

They know Trax alone: its imports, selectors as short as they go, macros, its
batchers, and data sets of which some are gone.
"""

_IMPORTS = """
import trax.data
import trax.layers
import trax.models
import trax.optimizers
import trax.supervised.trainer_lib
"""

_ALL = """
train.model = @trax.models.HourglassLM
train.optimizer = @trax.optimizers.Adam
Adam.b1 = 0.9
Adam.b2 = 0.98
Adam.eps = 1e-9
Adam.weight_decay_rate = 0.0
HourglassLM.n_heads = 8
"""

_BYTES = """
HourglassLM.vocab_size = 256
"""

_COSINE = """
multifactor.factors = 'constant * linear_warmup * cosine_decay'
"""

_RSQRT = """
multifactor.factors = 'constant * linear_warmup * rsqrt_decay'
multifactor.warmup_steps = 8000
"""

_IMAGES = """
batcher.data_streams = @data.data_streams
batcher.batch_size_per_device = 1
batcher.eval_batch_size = 8
batcher.variable_shapes = False
data_streams.data_dir = None
data_streams.input_name = 'image'
data_streams.target_name = 'image'
data_streams.bare_preprocess_fn = \\
    @data.downsampled_imagenet_flatten_bare_preprocess
"""

FORMS = {
  'enwik8': _IMPORTS
  + _ALL
  + _BYTES
  + _COSINE
  + """
batcher.data_streams = @data.data_streams
batcher.buckets = ([2049], [8])
batcher.id_to_mask = 0
batcher.max_eval_length = 2049
data_streams.data_dir = None
data_streams.dataset_name = 't2t_enwik8_l2k'
data_streams.input_name = 'targets'
multifactor.constant = 4.1e-4
multifactor.warmup_steps = 4000
multifactor.steps_per_cycle = 350000
train.steps = 263000
train.eval_frequency = 2000
train.eval_steps = 305
train.save_graphs = False
train.checkpoints_at = [150000, 175000, 263000]
HourglassLM.d_model = 512
HourglassLM.d_ff = 2048
HourglassLM.dropout = 0.2
HourglassLM.vanilla_layers = (5, 5)
HourglassLM.hierarchy = '24@3'
HourglassLM.attention_upsampling_fn = @NaiveUpsampling
HourglassLM.ff_activation = @trax.layers.FastGelu
""",
  'imagenet32': _IMPORTS
  + _ALL
  + _BYTES
  + _RSQRT
  + _IMAGES
  + """
batcher.max_eval_length = 3072
data_streams.dataset_name = 'downsampled_imagenet/32x32'
multifactor.constant = 0.0442
train.steps = 400000
train.eval_frequency = 1000
train.eval_steps = 512
train.permanent_checkpoints_at = \\
    [100000, 150000, 200000, 250000, 300000, 350000]
HourglassLM.d_model = 512
HourglassLM.d_ff = 2048
HourglassLM.dropout = 0.01
HourglassLM.vanilla_layers = (3, 3)
HourglassLM.hierarchy = '24@3'
HourglassLM.attention_downsampling_fn = @LinearPooling
HourglassLM.ff_activation = @trax.layers.FastGelu
""",
  'imagenet64': _IMPORTS
  + _ALL
  + _BYTES
  + _RSQRT
  + _IMAGES
  + """
attention = @PureLSHSelfAttentionWrapper
batcher.max_eval_length = 12288
data_streams.dataset_name = 'downsampled_imagenet/64x64'
multifactor.constant = 0.03125
train.steps = 500000
train.eval_frequency = 1000
train.eval_steps = 512
train.checkpoints_at = [1000, 500000]
PureLSHSelfAttentionWrapper.pure_lsh_implementation = @PureLSHSelfAttention
PureLSHSelfAttentionWrapper.rotary_position_emb = True
PureLSHSelfAttentionWrapper.bias = True
PureLSHSelfAttentionWrapper.num_weights = 2
PureLSHSelfAttentionWrapper.weights_format = 'model'
PureLSHSelfAttention.chunk_len = 256
PureLSHSelfAttention.n_buckets = None
PureLSHSelfAttention.n_chunks_before = 1
PureLSHSelfAttention.n_chunks_after = 0
PureLSHSelfAttention.n_hashes = 2
layers.SelfAttention.chunk_len = 512
HourglassLM.d_model = 768
HourglassLM.d_ff = 3072
HourglassLM.dropout = 0.0
HourglassLM.mode = 'train'
HourglassLM.vanilla_layers = (3, 3)
HourglassLM.hierarchy = '12@3'
HourglassLM.vanilla_attn_type = %attention
HourglassLM.downsampling_fn = @LinearPooling
HourglassLM.upsampling_fn = @LinearUpsampling
HourglassLM.ff_activation = @trax.layers.FastGelu
""",
  'cifar10': _IMPORTS
  + _ALL
  + _BYTES
  + _COSINE
  + _IMAGES
  + """
n_steps = 100000
batcher.max_eval_length = 3072
data_streams.dataset_name = 'cifar10'
multifactor.constant = 1e-3
multifactor.warmup_steps = 5000
multifactor.steps_per_cycle = %n_steps
train.steps = %n_steps
train.eval_frequency = 2000
train.eval_steps = 625
train.checkpoints_at = [100000]
HourglassLM.d_model = 512
HourglassLM.d_ff = 2048
HourglassLM.dropout = 0.0
HourglassLM.mode = 'train'
HourglassLM.vanilla_layers = (1, 1)
HourglassLM.hierarchy = '8@3'
HourglassLM.attention_downsampling_fn = @LinearPooling
HourglassLM.attention_upsampling_fn = @LinearUpsampling
""",
  'wiki40b': _IMPORTS
  + _ALL
  + _COSINE
  + """
n_batch = 128
length = 2048
vocabulary = 32000
make_inputs.train_stream = [
  @training/data.TFDS(),
  @data.SentencePieceTokenize(),
  @data.generate_sequential_chunks(),
  @data.FilterEmptyExamples(),
  @data.PadToLength(),
  @data.ConcatenateToLMInput(),
  @data.AddLossWeights(),
  @data.Batch(),
]
make_inputs.eval_stream = [
  @validation/data.TFDS(),
  @data.SentencePieceTokenize(),
  @data.generate_sequential_chunks(),
  @data.FilterEmptyExamples(),
  @data.PadToLength(),
  @data.ConcatenateToLMInput(),
  @data.AddLossWeights(),
  @validation/data.Batch(),
]
data.TFDS.dataset_name = 'wiki40b/en'
data.TFDS.keys = ('text',)
training/data.TFDS.train = True
validation/data.TFDS.train = False
data.generate_sequential_chunks.max_length = %length
data.AddLossWeights.id_to_mask = 0
data.PadToLength.len_map = {0: %length}
data.PadToLength.pad_value = {0: 0}
data.Batch.batch_size = %n_batch
validation/data.Batch.batch_size = 8
multifactor.constant = 1e-3
multifactor.warmup_steps = 10000
multifactor.steps_per_cycle = 125000
train.inputs = @data.make_inputs
train.steps = 125000
train.eval_frequency = 2500
train.eval_steps = 600
train.checkpoint_lowest = 'loss'
train.permanent_checkpoints_at = [50000, 100000, 125000]
TransformerLM.d_model = 768
TransformerLM.vocab_size = %vocabulary
HourglassLM.vocab_size = %vocabulary
HourglassLM.d_model = 512
HourglassLM.d_ff = 2048
HourglassLM.dropout = 0.0
HourglassLM.mode = 'train'
HourglassLM.vanilla_layers = (4, 4)
HourglassLM.hierarchy = '8@4'
HourglassLM.attention_upsampling_fn = @LinearUpsampling
""",
}

# Bindings that make each model small enough for a test.
TOY = (
  'HourglassLM.d_model = 8',
  'HourglassLM.d_ff = 10',
  'HourglassLM.n_heads = 2',
  'HourglassLM.vanilla_layers = (1, 0)',
  'HourglassLM.dropout = 0.0',
  'train.eval_steps = 1',
)
TOY_OF = {
  'enwik8': ("HourglassLM.hierarchy = '1@3'", 'batcher.buckets = ([36], [2])'),
  'imagenet32': ("HourglassLM.hierarchy = '1@3'",),
  # A single chunk: what is hashed to where makes no difference.
  'imagenet64': (
    "HourglassLM.hierarchy = '1@3'",
    'PureLSHSelfAttention.chunk_len = 36',
  ),
  'cifar10': ("HourglassLM.hierarchy = '1@3'",),
  'wiki40b': (
    "HourglassLM.hierarchy = '1@4'",
    'length = 36',
    'n_batch = 2',
    'vocabulary = 256',
  ),
}
