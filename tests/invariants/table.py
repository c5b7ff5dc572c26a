"""The 82 invariants of RLHF with PPO: what each says and who fell into the trap, and those that do not apply.

The number stands in the name of every test that holds an invariant: `test_inv31_...`, `test_inv01_inv09_...`.
"""

from __future__ import annotations

SOURCES = {
    "N": "Huang et al. 2023, The N Implementation Details of RLHF with PPO (huggingface.co/blog)",
    "N+": "Huang et al. 2024, arXiv:2403.17031, with the number of the detail",
    "S": "Zheng et al. 2023, Secrets of RLHF in Large Language Models I, arXiv:2307.04964",
    "I": "Ouyang et al. 2022, InstructGPT, arXiv:2203.02155",
    "St": "Stiennon et al. 2020, arXiv:2009.01325",
    "Z": "Ziegler et al. 2019, arXiv:1909.08593",
    "LMH": "their code, openai/lm-human-preferences",
    "G": "Gao et al. 2022, arXiv:2210.10760",
    "trl#N and the like": "threads of that number in the project's issues on GitHub",
}

# fmt: off
STATEMENTS = {
    # Rollout and log-probabilities
    1: "Before the first optimizer step the ratio is 1: |new - old| <= 1e-6 nats, approx_kl and clip_fraction 0; with learning rate 0 in every epoch [N+; RLinf#1534]",
    2: "Sampling, training and reference all use softmax(logits / temperature); at temperature 0.7 the first ratio is still 1 and the first KL 0 [trlx; DeepSpeed-Chat; align-anything; LLaMA-Factory]",
    3: "Nothing truncates the distribution that is sampled from (top_k, top_p, min_p are refused); log-probabilities over a truncated support would sum to 1 [trl#6789]",
    4: "Leftovers in the model's generation_config (top_k, penalties, n-grams, minimum length, suppressed tokens) change nothing: the processed scores are the raw logits / temperature [transformers#42762; trl#4647; trl#1017; LLaMA-Factory; MOSS]",
    5: "Log-probability, value and score of a sequence stay within 1e-5 behind 0, 3 or 17 padding tokens; positions count real tokens from 0 [N; N+ 14; DeepSpeed-Chat]",
    6: "Logits with the key-value cache are those of a full forward, within 1e-5",
    7: "A row alone is sampled and valued as in any batch, within 1e-5",
    8: "Softmax and ratio are computed in float32 also from bfloat16 logits; log-probabilities are float32",
    9: "Old and new log-probabilities come from forwards of the same shapes and precision, so that they are equal bit for bit [RLinf#1534]",
    10: "Where another engine samples, its log-probabilities are compared with the trainer's and corrected (truncated importance weights); identical engines give weight 1 [OpenRLHF; trl#3867; vllm#42259]",
    11: "The ids in the loss and before the judge are the sampled ids bit for bit; nothing is decoded and encoded again [trlx]",
    12: "A response cut at the limit gets no end token that it did not sample [OpenRLHF#238]",
    13: "Chunked log-probabilities equal gather(log_softmax) in value and gradient for any chunk and vocabulary",
    14: "Sequences that share a row give the results they give padded and alone: none attends to another, positions start again",
    15: "With n samples a prompt row i * n + j belongs to prompt i, also after sorting by length and over processes",
    16: "The same seed gives bitwise the same weights on a CPU; each row draws its own numbers, all processes the same permutation [TRL 1.12]",
    # Masks, ends, prompts
    17: "Masks come from lengths: where pad and end are one token the end is still trained and scored, and the result is that of a pad of its own",
    18: "A pad token that the policy samples does not cut the response; a banned token has probability 0 and harms no number",
    19: "Whatever stands after the end token changes no loss, return, KL, metric or weight",
    20: "The end token is trained: the mask holds its place plus one tokens, and all of them where a response was cut",
    21: "Any of several stop tokens ends a response, and the rule for missing ends uses the same set [trl#3750; trl#5338]",
    22: "A missing end lowers the score or replaces it, as told, before the KL is added and on the score alone [N+ 23; TRL]",
    23: "A prompt ends with the generation prompt and not with an end token, and has one beginning-of-sequence token",
    24: "The prompt's ids in PPO are the prefix of SFT's, and the reward model is shown the end-of-turn token that it was trained with",
    25: "Prompts lose their oldest part, responses are never cut, and no demonstration is left without a trained token [N+ 2; AgenticArXiv-RL#22]",
    26: "Prompt and longest response together fit into the context of policy, reference, critic and reward model, or the run is refused",
    27: "Prompt and response are encoded apart and joined by one rule for SFT, reward model and PPO [N+ 3; trl#1702]",
    28: "An empty response, or one that begins with the pad token, has no negative index and a finite loss",
    29: "A micro-batch in which nothing counts has loss 0 with gradient 0, not nan [NeMo-RL]",
    30: "NaN at masked positions reaches neither loss nor gradient [OpenRLHF#1240]",
    # Reward and KL
    31: "The score stands on the last token that counts, cut or not; rewards add up to score - kl_coef * KL and are 0 at padding [trl#1893; TRL 1.12]",
    32: "Prompt and padding contribute exactly 0 to the KL",
    33: "Before the first update KL(policy || reference) is exactly 0, also with LoRA, dropout in the config, bfloat16 and a temperature",
    34: "By enumeration k1 and k3 are unbiased and k2 is not; as losses their gradients are 0, that of KL(policy || ref) and that of KL(ref || policy); the reward uses k1 [arXiv:2506.09477; verl]",
    35: "The reported KL is the one that was trained on, per response and per token; a negative one is warned of, naming the sampling settings [trl#1161; trl#1180]",
    36: "The adaptive coefficient follows Ziegler's rule with the episodes of all processes, is equal on all of them, and survives a resume [Z 2.2]",
    37: "Clipping and normalising act on the score alone, not on score plus KL; running moments are those of all processes and survive a resume [align-anything; S]",
    38: "After calibration the reward model scores responses of the SFT policy 0 on average (within 1e-3), normalised ones have spread 1, and no ranking changes [I 3.5; N+ 15; Z]",
    39: "Reward model and reference are bitwise what they were after training, need no gradient, and share no tensor with the critic",
    40: "A score is read at the last token that counts whatever the padding's side, width and id and the batch; plain transformers gives the same from the saved model [trl#2778]",
    41: "A reward model with another tokenizer or template is given text in its own template, never the policy's ids [align-anything]",
    42: "Columns reach a reward function in the right row after shuffling and sorting; exceptions and scores that are no numbers surface with the prompt",
    43: "The correlation of score and length is measured and recorded [St]",
    # Advantages and losses
    44: "GAE equals its quadratic definition; lambda 1 is reward-to-go minus value, lambda 0 the one-step error [LMH]",
    45: "Numbers at padding change no advantage and no return",
    46: "Beyond the last token the value is 0, cut or not, unless a bootstrap value is given",
    47: "Masked tokens inside a response (a tool's output) change no advantage of the others [verl; NeMo-RL]",
    48: "Returns are raw advantages plus the rollout's values, from before whitening",
    49: "Whitening gives mean 0 and variance 1 over all processes; rescaling keeps the mean; a single token stays finite [N+ 24; torchtune]",
    50: "Old log-probabilities, advantages, returns and old values have no gradient and are the same tensors through all epochs",
    51: "The policy loss is the larger of plain and clipped; its gradient is 0 exactly where A > 0 and ratio > 1 + eps, or A < 0 and ratio < 1 - eps",
    52: "With dual clip c the loss of a token with A < 0 is at most c |A|; upper and lower clip may differ",
    53: "The value loss is half the larger of plain and clipped squared error, and plain within the range or without one",
    54: "The loss is the mean over the tokens of the optimizer step: gradients do not depend on micro-batches or processes, lengths unequal [OpenRLHF; TRL 1.12]",
    55: "Optimizer steps are epochs x minibatches, each sample is visited once an epoch, and a last batch that is not full is weighted by what it holds [TRL 1.12]",
    56: "Statistics are means over what counts and over the steps taken [TRL: ratio 0.25]",
    57: "Gradients of policy and critic are clipped once they are summed, and the norm before is reported [TRL 1.12]",
    58: "The learning rate of every step is the schedule's by formula, for any number of processes [N+; Z]",
    59: "An early stop on KL ends the epochs on all processes together",
    60: "A ptx coefficient of 0 is PPO bit for bit; the ptx loss is the mean over tokens that are no padding; one gradient holds both [I]",
    61: "Adam's epsilon is 1e-5 and not the library's 1e-8, for policy and critic [N+; N]",
    62: "value_coef is all but inert where the critic has weights of its own, and acts on the policy where they share a trunk",
    # Models, adapters, distribution
    63: "Dropout is off in policy (also LoRA's), reference, critic and reward model: train mode computes what evaluation mode does [N+ 7]",
    64: "The reference by switched-off adapters is bitwise the initial policy, also where SFT was LoRA; adapters and requires_grad are restored also after an error",
    65: "Shared frozen weights are bitwise unchanged by training, and the reference branch keeps giving its first output",
    66: "With tied embeddings the critic's head is its own, a model saves and loads with the tie, and a new pad token changes no score and no other model [TRL]",
    67: "A critic from the reward model values the last token at its score; a head of zeros is 0 everywhere; a new head has std 1/sqrt(width + 1) [LMH; N+ 11]",
    68: "After training, weights are equal on all processes: gradients are the mean over processes because the forward goes through the wrapper",
    69: "Processes take disjoint rows and the same number of micro-batches; a set smaller than a batch is an error, not a hang [DeepSpeed-Chat; TRL 1.12]",
    70: "Under ZeRO-3 or FSDP nothing is called outside the wrapper, and generation with gathered weights equals that on one device",
    71: "Gradient checkpointing is really on and gives the same gradients, with LoRA too; the cache is off in training and on while sampling [TRL 1.12]",
    72: "Mixed precision is really on: matrix products inside the forward are bfloat16, weights and log-probabilities float32 [TRL 1.12]",
    73: "A resumed run is bitwise the unbroken one: weights, optimizers, schedule, all random states, place in the data, KL controller, moments, EMA, counters",
    74: "What is saved loads in plain transformers with equal logits, names without prefix, all stop tokens, generation config, tokenizer and template",
    75: "A stop that is asked for is answered with a checkpoint from which the run goes on; callbacks are called",
    76: "While the critic alone warms up the policy does not change",
    77: "The moving average of the weights follows its formula, is kept over a resume, and can be evaluated and exported [I]",
    # Reward model training
    78: "All pairs of a prompt are one batch element of weight 1, each response goes through the model once, dropped ties have no part; the gradient is that of the loop over pairs [I 3.4, 3.5]",
    79: "Shifting all scores changes no ranking loss; the centring term does on purpose; a margin asks for a lead",
    80: "Plackett-Luce of two is Bradley-Terry, and over all orders it sums to 1",
    81: "Data is split by prompt and none that was trained on is evaluated; equal scores count one half; scores are float32 so that few are equal [HH]",
    82: "Best-of-n has KL log n - (n - 1)/n, and its estimate from N > n samples is unbiased [Nakano et al. 2021, App. I; G 2]",
}
# fmt: on

NOT_APPLICABLE = {
    10: "there is no second engine: responses are sampled with the model in training, by transformers' generate, and old log-probabilities come from the training forward (6 and 9 hold that)",
    70: "models are never cut into parts: a launch under FSDP, DeepSpeed or Megatron-LM is refused by every stage (tests/stages/test_launch.py), and accelerate refuses FSDP on a CPU, so that nothing about it could be shown in the tests",
}
NUMBERS = tuple(range(1, 83))
